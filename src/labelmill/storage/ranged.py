"""A file open for reading, whose failures are told apart from a decoder's verdict.

Decoders (gzip, zstd, pyarrow) raise OSError and ValueError of their own. So whatever a disk or
network raises below them arrives as StorageError, and a file that ends early is one too: to a
decoder it would look like damage, or worse, like the end.
"""

import io
from collections.abc import Callable
from typing import BinaryIO

from typing_extensions import Buffer, override

from labelmill.errors import StorageError


class RangedFile(io.RawIOBase):
    """Reads ranges of `handle`, a file of `size` bytes, through `guard`.

    `guard` runs a read: it may repeat it, and turns what fails into StorageError. A read is one
    `seek` and one `read` of exactly the bytes asked for, cut at `size`.
    """

    def __init__(
        self, handle: BinaryIO, size: int, name: str, guard: Callable[[Callable[[], bytes]], bytes]
    ) -> None:
        super().__init__()
        self._handle = handle
        self._guard = guard
        self._place = 0
        self.name = name
        self.size = size

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        start, rest = self._place, max(self.size - self._place, 0)
        count = rest if size is None or size < 0 else min(size, rest)
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if count == 0:
            return b""
        data = self._guard(lambda: self._range(start, count))
        self._place = start + count
        return data

    def read1(self, size: int = -1, /) -> bytes:
        """The same as `read`: nothing is buffered."""
        return self.read(size)

    @override
    def readall(self) -> bytes:
        return self.read()

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._place = base + offset
        return self._place

    @override
    def tell(self) -> int:
        return self._place

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def close(self) -> None:
        if not self.closed:
            self._handle.close()
        super().close()

    def _range(self, start: int, count: int) -> bytes:
        self._handle.seek(start)
        data = self._handle.read(count)
        if len(data) != count:
            raise StorageError(
                f"{self.name!r} ended after {start + len(data)} of {self.size} bytes; "
                "it was cut while being read, or the store serves it wrongly"
            )
        return data
