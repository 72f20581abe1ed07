"""A filesystem in memory that fails as told: what a bad network looks like through fsspec."""

import io
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFileSystem


class FaultyFiles(MemoryFileSystem):
    """`plan` holds what the next calls of the network raise, first to last; then all is well.

    Each instance has files of its own.
    """

    protocol = "faulty"
    cachable = False
    find = AbstractFileSystem.find  # a walk of many calls, as most filesystems do it

    def __init__(self, *plan: Exception) -> None:
        super().__init__()
        self.store: dict[str, Any] = {}
        self.pseudo_dirs = [""]
        self.plan = list(plan)
        self.calls = 0

    def fail_if_told(self) -> None:
        """One call of the network."""
        self.calls += 1
        if self.plan:
            raise self.plan.pop(0)

    def info(self, path: str, **kwargs: Any) -> Any:
        """As in fsspec; fails if told to."""
        self.fail_if_told()
        return super().info(path, **kwargs)

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        """As in fsspec; fails if told to."""
        self.fail_if_told()
        return super().ls(path, detail=detail, **kwargs)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """As in fsspec; fails if told to."""
        self.fail_if_told()
        if mode == "create" and self._strip_protocol(path) in self.store:
            raise FileExistsError(path)
        super().pipe_file(path, value)

    def open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        """As in fsspec; fails if told to."""
        if mode != "rb":
            return super().open(path, mode, **kwargs)
        return FaultyHandle(self, self.store[self._strip_protocol(path)].getvalue())


class FaultyHandle(io.RawIOBase):
    """An open file whose every read is one call of the network."""

    def __init__(self, files: FaultyFiles, data: bytes) -> None:
        super().__init__()
        self._files = files
        self._data = io.BytesIO(data)
        self.size = len(data)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As in fsspec; fails if told to."""
        return self._data.seek(offset, whence)

    def read(self, size: int | None = -1, /) -> bytes:
        """As in fsspec; fails if told to."""
        self._files.fail_if_told()
        return self._data.read(size)
