"""Whole records out of a stream of delimited text, with the place of each.

Offsets are bytes of the decompressed stream. The records do not depend on the sizes of the pieces
that the stream comes in, nor on where reading begins. Memory holds one record, and about 1 MiB.
A byte order mark of UTF-8 at the start belongs to the first record's bytes but not to its text.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from labelmill.ops.csv_parsing import MAX_RECORD, Tail, records
from labelmill.ops.decompression import Stream
from labelmill.ops.pieces import Piece, PieceReader

BOM = b"\xef\xbb\xbf"
_SHOWN = 4096  # bytes kept of a bad record, to show


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRecord:
    """Why a record is none, and the beginning of what stood there."""

    reason: str
    text: bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Records(Piece):
    """Records one after another. All arrays are [records]."""

    begins: npt.NDArray[np.int64]  # offset of each record's text
    stops: npt.NDArray[np.int64]  # offset after each record's newline
    filled: npt.NDArray[np.bool_]  # false where it is a blank line
    cells: Sequence[list[str] | BadRecord]

    @override
    def __getitem__(self, part: slice, /) -> "Records":
        """A run of these records."""
        return Records(
            begins=self.begins[part],
            stops=self.stops[part],
            filled=self.filled[part],
            cells=self.cells[part],
        )


class RecordReader(PieceReader[Records]):
    """The records of a stream, looked at before they are taken; the header first."""

    def __init__(self, stream: Stream, delimiter: str, max_record: int = MAX_RECORD) -> None:
        super().__init__(stream)
        self._delimiter, self._max = delimiter, max_record
        self._columns: int | None = None
        self._ended = False

    def header(self) -> list[str] | BadRecord:
        """Take the first record that is not blank: the names of the columns; none at the end."""
        cells: list[str] | BadRecord = []
        while not cells and (found := self.peek()) is not None:
            cells = self.take(len(found)).cells[-1]
        self._columns = None if isinstance(cells, BadRecord) else len(cells)
        return cells

    @override
    def _cut(self) -> Records | None:
        size = 1
        while True:
            self._fill(size)
            data = self._whole_lines()
            if not data and len(self._pending) > self._max:
                return self._too_long()
            if not data and self._ended:
                return None
            found = self._parse(data) if data else None
            if found is not None:
                self._pending = self._pending[int(found.stops[-1]) - self.offset :]
                return found
            if self._tail() != "more":
                return None
            size = min(2 * max(len(self._pending), 1), self._max + 1)

    def _fill(self, size: int) -> None:
        """Have `size` bytes at hand, or all that are left."""
        parts, have = [self._pending], len(self._pending)
        while have < size and not self._ended:
            parts.append(self._stream.read())
            have += len(parts[-1])
            self._ended = not parts[-1]
        self._pending = b"".join(parts)

    def _whole_lines(self) -> bytes:
        """The lines at hand, no more than a record may have; not one that a break cut off."""
        if self._ended and len(self._pending) <= self._max and not self._broken():
            return self._pending
        return self._pending[: self._pending.rfind(b"\n", 0, self._max) + 1]

    def _broken(self) -> bool:
        return self._stream.damage is not None and not self._stream.damage.clean

    def _tail(self) -> Tail:
        if len(self._pending) > self._max:
            return "end"
        if not self._ended:
            return "more"
        return "broken" if self._broken() else "end"

    def _parse(self, data: bytes) -> Records | None:
        """The records of whole lines, only the first one as long as the header is not known."""
        text = data.decode(errors="surrogateescape")  # what is no UTF-8 becomes lone surrogates
        lines = list(io.StringIO(text.removeprefix("\ufeff") if self.offset == 0 else text, "\n"))
        ends: list[int] = []
        cells: list[list[str] | str] = []
        for end, found in records(lines, self._delimiter, self._columns, self._tail()):
            ends.append(end)
            cells.append(found)
            if found and self._columns is None:
                break
        return self._records(data, ends, cells) if ends else None

    def _records(self, data: bytes, ends: list[int], cells: list[list[str] | str]) -> Records:
        newlines = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1
        # A mark alone is no line; a last line may lack its newline.
        stops = np.append(newlines, len(data))[np.array(ends) - 1]
        begins = np.concatenate([[0], stops[:-1]])
        if self.offset == 0 and data.startswith(BOM):
            begins[0] = len(BOM)
        filled = np.array([bool(found) for found in cells])
        places = zip(cells, begins.tolist(), stops.tolist(), strict=True)
        return Records(
            begins=begins + self.offset,
            stops=stops + self.offset,
            filled=filled,
            cells=[_verdict(found, data, begin, stop) for found, begin, stop in places],
        )

    def _too_long(self) -> Records | None:
        """The line that fills all there is at hand, streamed past."""
        head, size, piece = self._pending[:_SHOWN], 0, self._pending
        while piece:
            length = piece.find(b"\n") + 1
            size += length or len(piece)
            self._pending = piece[length:] if length else b""
            piece = b"" if length else self._stream.read()
            self._ended = not length and not piece
        if self._ended and self._broken():
            return None
        reason = f"a line of {size} bytes, more than {self._max}"
        return Records(
            begins=np.array([self.offset + len(BOM) * (not self.offset and head.startswith(BOM))]),
            stops=np.array([self.offset + size]),
            filled=np.array([True]),
            cells=[BadRecord(reason=reason, text=head)],
        )


def _verdict(cells: list[str] | str, data: bytes, begin: int, stop: int) -> list[str] | BadRecord:
    """The cells, if they are there and UTF-8."""
    shown = slice(begin, min(stop, begin + _SHOWN))
    if isinstance(cells, str):
        return BadRecord(reason=cells, text=data[shown])
    if _escaped("".join(cells)):
        place = _first_invalid(data[begin:stop])
        return BadRecord(reason=f"invalid UTF-8 at byte {place}", text=data[shown])
    return cells


def _escaped(text: str) -> bool:
    """Whether bytes that are no UTF-8 were taken for characters."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _first_invalid(data: bytes) -> int:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start + 1
    raise AssertionError("a record was called invalid, and is not")
