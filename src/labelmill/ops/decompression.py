"""Decompression: the bytes of a stored file, front to back, in bounded memory.

Every stored byte is read once; members and frames that follow one another are read through.
What a decoder refuses ends the stream with a `Damage`, after everything that the decoder can
still give; only then is the damaged member read a second time. Failures of the file itself pass
through untouched. Nothing here knows what the bytes mean.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from labelmill.ops import codecs
from labelmill.ops.codecs import Codec, Decoder

PIECE = 1 << 20  # bytes: how much is read, and given, at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """The decoder's verdict on the rest of a stream.

    `clean` says that what came before ended as it should, so its last line is whole; `total` that
    nothing of the file can be read, because it is not what its name says.
    """

    reason: str
    clean: bool = False
    total: bool = False


class Stream:
    """The decompressed bytes of one file. `damage` is known once `read` has given everything."""

    damage: Damage | None

    def __init__(self, file: BinaryIO, name: str, piece: int = PIECE) -> None:
        """`name` says by its suffix, in any case, how the file is compressed."""
        suffix = PurePosixPath(name).suffix.lower()
        self._codec = codecs.named(suffix)
        self._source = _Source(file, piece)
        self._piece, self._held = piece, b""
        self.damage = _mismatch(self._source.peek(codecs.HEAD), suffix, self._codec)
        self._pieces: Iterator[bytes | Damage] = iter(())
        if self.damage is None:
            self._pieces = _pieces(self._source, self._codec, piece)

    def read(self) -> bytes:
        """The next piece, about as large as asked for; b"" at the end."""
        parts, size = [self._held], len(self._held)
        while size < self._piece and (more := self._more()):
            parts.append(more)
            size += len(more)
        self._held = b""
        return b"".join(parts)

    def peek(self, count: int) -> bytes:
        """The next `count` bytes, fewer at the end, without taking them."""
        while len(self._held) < count and (more := self._more()):
            self._held += more
        return self._held[:count]

    def skip(self, count: int) -> None:
        """Leave out `count` bytes: by seeking where the file is not compressed."""
        held, self._held = len(self._held), self._held[count:]
        count -= held
        if self._codec is None and count > 0:
            self._source.seek(self._source.offset + count)
            return
        while count > 0 and (piece := self.read()):
            self._held = piece[count:]
            count -= len(piece)

    def _more(self) -> bytes:
        for item in self._pieces:
            if isinstance(item, Damage):
                self.damage = item
            elif item:
                return item
        return b""


class _Source:
    """A file read in pieces, that can be looked ahead into, pushed back to, and rewound."""

    def __init__(self, file: BinaryIO, piece: int) -> None:
        self._file, self._piece = file, piece
        self._held, self._at = b"", 0
        self.offset = 0  # stored bytes before the next one

    def peek(self, count: int) -> bytes:
        while len(self._held) - self._at < count and (more := self._file.read(self._piece)):
            self._held, self._at = self._held[self._at :] + more, 0
        return self._held[self._at : self._at + count]

    def take(self, count: int) -> bytes:
        """Up to `count` bytes; none only at the end."""
        self.peek(1)
        taken = self._held[self._at : self._at + count]
        self._at += len(taken)
        self.offset += len(taken)
        return taken

    def seek(self, offset: int) -> None:
        """Go on at `offset`; what is at hand already is not read again."""
        at = self._at + offset - self.offset
        if 0 <= at <= len(self._held):
            self._at = at
        else:
            self._file.seek(offset)
            self._held, self._at = b"", 0
        self.offset = offset


def _mismatch(head: bytes, suffix: str, codec: Codec | None) -> Damage | None:
    if codec is not None:
        if codec.starts(head):
            return None
        what = f"is not {codec.name}" if head else f"is empty, which no {codec.name} file is"
        return Damage(reason=f"named {suffix} but {what}", total=True)
    found = codecs.found_in(head)
    if found is None:
        return None
    return Damage(reason=f"named {suffix or 'without suffix'} but is {found.name}", total=True)


def _pieces(source: _Source, codec: Codec | None, piece: int) -> Iterator[bytes | Damage]:
    if codec is not None:
        yield from _members(source, codec)
        return
    while data := source.take(piece):
        yield data


def _members(source: _Source, codec: Codec) -> Iterator[bytes | Damage]:
    while head := _next_head(source, codec):
        if not codec.starts(head):
            yield Damage(reason=f"{codec.name}: garbage after the end of the stream", clean=True)
            return
        damage = yield from _member(source, codec)
        if damage is not None:
            yield damage
            return


def _next_head(source: _Source, codec: Codec) -> bytes:
    while codec.padding and source.peek(1) == b"\0":
        zeros = source.take(codec.step)
        source.seek(source.offset - len(zeros.lstrip(b"\0")))
    return source.peek(codecs.HEAD)


def _member(source: _Source, codec: Codec) -> Generator[bytes, None, Damage | None]:
    start, given, decoder = source.offset, 0, codec.decoder()
    while not decoder.eof:
        safe = source.offset
        data = source.take(codec.step)
        if not data:
            reason = f"{codec.name}: the stream ends before its end marker"
            return Damage(reason=reason, clean=given == 0)
        try:
            for out in _drain(decoder, data, PIECE):
                given += len(out)
                yield out
        except codec.errors as err:
            source.seek(start)
            yield _salvage(source, codec, safe, given)
            return Damage(reason=f"{codec.name}: {err}")
    source.seek(source.offset - len(decoder.unused_data))
    return None


def _drain(decoder: Decoder, data: bytes, limit: int) -> Iterator[bytes]:
    yield decoder.decompress(data, limit)
    while not decoder.eof and not decoder.needs_input:
        yield decoder.decompress(b"", limit)


def _salvage(source: _Source, codec: Codec, safe: int, given: int) -> bytes:
    """What a failing member gives after its first `given` bytes.

    A decoder keeps the output of the call that fails to itself. So the member is decoded again,
    from stored byte `safe` on in the smallest steps, where the failing one has nothing left to
    lose.
    """
    decoder, out, end = codec.decoder(), bytearray(), safe + codec.step
    skip = given
    try:
        while not decoder.eof and source.offset < end:
            coarse = source.offset < safe
            data = source.take(min(codec.step, safe - source.offset) if coarse else 1)
            for piece in _drain(decoder, data, PIECE if coarse else 1):
                out += piece[skip:]
                skip = max(skip - len(piece), 0)
    except codec.errors:
        pass
    return bytes(out)
