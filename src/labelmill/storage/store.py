"""The seam between labelmill and disks, object stores and everything fsspec can reach."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from labelmill.errors import StorageError


class FileMissing(StorageError):  # noqa: N818 - reads as the sentence it is
    """The file is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a listing."""

    path: str  # relative to the store's root
    size: int  # bytes
    version: str  # modification time in ns, or etag: changes when the content does


class Store(Protocol):
    """A directory tree. Five verbs, no append and no overwrite: what every store can do atomically."""

    url: str  # absolute path or URL of the root, without a trailing '/'

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Every file below `prefix` (a directory, '' for the root), any order; nothing if it is absent."""
        ...

    def stat(self, path: str) -> Entry:
        """One file's entry; raises FileMissing."""
        ...

    def open(self, path: str) -> BinaryIO:
        """The file for sequential or random reading; raises FileMissing; reads raise StorageError."""
        ...

    def create(self, path: str, data: bytes | memoryview) -> bool:
        """Create the file whole with its parent directories; False if the name is taken already."""
        ...

    def delete(self, path: str) -> None:
        """Delete the file; nothing happens if it is absent."""
        ...
