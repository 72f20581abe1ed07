"""Whole lines out of a stream of bytes: where each one begins and ends, and which are blank.

Offsets are bytes of the decompressed stream. The lines do not depend on the sizes of the pieces
that the stream comes in. A byte order mark of UTF-8 at its start belongs to the first line's
bytes but not to its text. What a line says is not looked at.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from labelmill.ops.decompression import Stream
from labelmill.ops.pieces import Piece, PieceReader

MAX_LINE = 256 << 20  # bytes with the newline; a longer line is never held
HEAD = 4096  # bytes kept of a line that is too long, to show
BOM = b"\xef\xbb\xbf"
BLANKS = b" \t\r\n"  # JSON's whitespace
_CODES = np.frombuffer(BLANKS, np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lines(Piece):
    """Lines one after another. All arrays are [lines]."""

    start: int  # offset of data[0]
    data: bytes  # the lines with their ends; of a line that is too long, only its head
    begins: npt.NDArray[np.int64]  # offset of each line's text
    stops: npt.NDArray[np.int64]  # offset after each line's newline
    filled: npt.NDArray[np.bool_]  # false where a line is blank
    too_long: bool = False  # the one line here is longer than may be held

    @override
    def __getitem__(self, part: slice, /) -> "Lines":
        """A run of these lines."""
        first, last, _ = part.indices(len(self))
        if self.too_long or (first, last) == (0, len(self)):
            return self
        start = int(self.stops[first - 1]) if first else self.start
        stop = int(self.stops[last - 1]) if last else self.start
        return Lines(
            start=start,
            data=self.data[start - self.start : stop - self.start],
            begins=self.begins[part],
            stops=self.stops[part],
            filled=self.filled[part],
        )

    def bounds(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Where in `data` the text of each line that is not blank begins and ends.

        The newline is left out, and the carriage return before it.
        """
        codes = np.frombuffer(self.data, np.uint8)
        begins = self.begins[self.filled] - self.start
        ends = np.minimum(self.stops[self.filled] - self.start, len(codes))
        ends = ends - (codes[ends - 1] == ord("\n"))
        return begins, ends - (codes[ends - 1] == ord("\r"))

    def texts(self) -> list[bytes]:
        """The text of each line that is not blank."""
        begins, ends = self.bounds()
        return [
            self.data[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
        ]


class LineReader(PieceReader[Lines]):
    """The lines of a stream, looked at before they are taken."""

    def __init__(self, stream: Stream, max_line: int = MAX_LINE) -> None:
        super().__init__(stream)
        self._max = max_line

    @override
    def _cut(self) -> Lines | None:
        parts, size = [], 0
        while piece := self._next_piece():
            parts.append(piece)
            size += len(piece)
            if b"\n" in piece:
                return self._lines(b"".join(parts))
            if size > self._max:
                return self._too_long(b"".join(parts), size)
        damage = self._stream.damage
        if not size or (damage is not None and not damage.clean):
            return None
        return self._lines(b"".join(parts))

    def _next_piece(self) -> bytes:
        piece, self._pending = self._pending, b""
        return piece or self._stream.read()

    def _lines(self, data: bytes) -> Lines | None:
        """The lines of `data` up to the first that is too long, or that one; the rest waits."""
        stop = data.rfind(b"\n") + 1 or len(data)
        lines = _scan(data[:stop], self.offset)
        sizes = np.diff(lines.stops, prepend=self.offset)
        over = np.flatnonzero(sizes > self._max)
        if not len(over):
            self._pending = data[stop:]
            return lines
        if over[0] > 0:
            lines = lines[: over[0]]
            self._pending = data[len(lines.data) :]
            return lines
        self._pending = data[sizes[0] :]
        return _long_line(data[:HEAD], self.offset, int(sizes[0]), blank=not lines.filled[0])

    def _too_long(self, data: bytes, size: int) -> Lines | None:
        """The line that begins with `data`, streamed past."""
        head, blank = data[:HEAD], not _text(data, self.offset)
        while piece := self._stream.read():
            length = piece.find(b"\n") + 1 or len(piece)
            size, blank = size + length, blank and not piece[:length].strip(BLANKS)
            if piece[length - 1 : length] == b"\n":
                self._pending = piece[length:]
                return _long_line(head, self.offset, size, blank=blank)
        damage = self._stream.damage
        if damage is not None and not damage.clean:
            return None
        return _long_line(head, self.offset, size, blank=blank)


def _scan(data: bytes, start: int) -> Lines:
    codes = np.frombuffer(data, np.uint8)
    stops = np.flatnonzero(codes == ord("\n")) + 1
    if not data.endswith(b"\n"):
        stops = np.append(stops, len(data))
    begins = np.concatenate([[0], stops[:-1]])
    if start == 0 and data.startswith(BOM):
        begins[0] = min(len(BOM), stops[0])
    filled = ~np.isin(codes[np.minimum(begins, len(data) - 1)], _CODES)
    for index in np.flatnonzero(~filled):  # a line that begins with a space may still say something
        filled[index] = bool(data[begins[index] : stops[index]].strip(BLANKS))
    if len(stops) and begins[0] == stops[0]:  # nothing but a byte order mark
        filled[0] = False
    return Lines(start=start, data=data, begins=begins + start, stops=stops + start, filled=filled)


def _text(data: bytes, start: int) -> bytes:
    return (data.removeprefix(BOM) if start == 0 else data).strip(BLANKS)


def _long_line(head: bytes, start: int, size: int, *, blank: bool) -> Lines:
    begin = start + (len(BOM) if start == 0 and head.startswith(BOM) else 0)
    return Lines(
        start=start,
        data=head,
        begins=np.array([begin], np.int64),
        stops=np.array([start + size], np.int64),
        filled=np.array([not blank]),
        too_long=True,
    )
