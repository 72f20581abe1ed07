"""Codecs: what tells compressed bytes by their name and their first bytes, and what decodes them.

All decoders are the standard library's or zstandard's, brought to the manners of
`bz2.BZ2Decompressor`: one object is one member or frame. Files are unknown here.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import zstandard


class Decoder(Protocol):
    """One member or frame: what `bz2.BZ2Decompressor` and `lzma.LZMADecompressor` are."""

    @property
    def eof(self) -> bool:
        """Whether the member is complete."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes without more input."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What was fed after the end of the member."""
        ...

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        """Feed `data`, take at most `max_length` bytes."""
        ...


class _Gzip:
    """A gzip member, with the manners of `bz2.BZ2Decompressor`; `max_length` must be positive."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        out = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        # Output may wait inside although all input is consumed; a short answer says that none does.
        self.needs_input = not self._inner.unconsumed_tail and len(out) < max_length
        return out


class _Zstd:
    """A zstd frame; `max_length` cannot be obeyed, so its input must come in small slices."""

    needs_input = True

    def __init__(self) -> None:
        # Published dumps are often made with --long=31, which the default window limit refuses.
        self._inner = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inner.unused_data)

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:  # noqa: ARG002 - the protocol's
        return bytes(self._inner.decompress(data))


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """How one kind of compressed file is known and decoded."""

    name: str
    magic: tuple[bytes, ...]
    decoder: Callable[[], Decoder]
    errors: tuple[type[Exception], ...]
    step: int = 1 << 16  # stored bytes a call; 4 KiB of zstd are at most 128 MiB
    padding: bool = False  # zeros may follow a member

    def starts(self, head: bytes) -> bool:
        """Whether a member may begin with these bytes, at least `HEAD` of them or all there are."""
        return head.startswith(self.magic)


_ZSTD_MAGIC = (b"\x28\xb5\x2f\xfd", *(bytes([low]) + b"\x2a\x4d\x18" for low in range(0x50, 0x60)))
_CODECS = (
    Codec(name="gzip", magic=(b"\x1f\x8b",), decoder=_Gzip, errors=(zlib.error,), padding=True),
    Codec(name="bzip2", magic=(b"BZh",), decoder=bz2.BZ2Decompressor, errors=(OSError, ValueError)),
    Codec(
        name="xz",
        magic=(b"\xfd7zXZ\x00",),
        decoder=lambda: lzma.LZMADecompressor(format=lzma.FORMAT_XZ),
        errors=(lzma.LZMAError,),
        padding=True,
    ),
    Codec(
        name="zstd", magic=_ZSTD_MAGIC, decoder=_Zstd, errors=(zstandard.ZstdError,), step=1 << 12
    ),
)
_BY_NAME = {codec.name: codec for codec in _CODECS}
_BY_SUFFIX = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bzip2", ".xz": "xz"}
SUFFIXES = ("", *_BY_SUFFIX)  # lower case; "" where nothing is compressed
HEAD = 6  # bytes: the longest magic


def named(suffix: str) -> Codec | None:
    """The codec that a lower-case suffix such as ".gz" stands for; None for every other suffix."""
    return _BY_NAME.get(_BY_SUFFIX.get(suffix, ""))


def found_in(head: bytes) -> Codec | None:
    """The codec whose files begin with these bytes."""
    return next((codec for codec in _CODECS if codec.starts(head)), None)
