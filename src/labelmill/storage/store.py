"""The seam between labelmill and disks, object stores and everything fsspec can reach."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal, Protocol

from labelmill.errors import StorageError

Kind = Literal["file", "directory"]


class FileMissing(StorageError):  # noqa: N818 - reads as the sentence it is
    """The file is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a listing."""

    path: str  # relative to the store's root
    size: int  # bytes
    version: str  # modification time in ns, or etag: changes when the content does


class Store(Protocol):
    """A directory tree. No append and no overwrite: only what every store can do atomically.

    Cheap to pickle, and cheap to open again by its url in another process.
    """

    @property
    def url(self) -> str:
        """Absolute path or URL of the root, without a trailing '/'."""
        ...

    @property
    def exclusive(self) -> bool:
        """Whether of several writers of one name only one is ever told True; see `RemoteStore`."""
        ...

    def list(
        self, prefix: str = "", *, hidden: bool = True, depth: int | None = None
    ) -> Iterator[Entry]:
        """Every file below `prefix` (a directory, '' for the root), in any order.

        Nothing if the prefix is absent. Our own unfinished files never show.
        `hidden=False` leaves out whatever lies under a name that starts with '.' or '_'.
        `depth` is the number of levels to go down, None for all.
        """
        ...

    def kind(self, path: str) -> Kind | None:
        """What the path names; None if there is nothing."""
        ...

    def names(self, path: str) -> tuple[str, ...]:
        """The names directly in a directory, directories too; nothing if it is absent."""
        ...

    def stat(self, path: str) -> Entry:
        """One file's entry; raises FileMissing."""
        ...

    def open(self, path: str) -> BinaryIO:
        """The file for sequential or random reading; raises FileMissing; reads raise StorageError.

        Unbuffered: a read of n bytes is one request for exactly these n bytes, so ask for large
        pieces (1 MiB and more), or wrap it in `io.BufferedReader` with a buffer of that size.
        A read gives fewer bytes than asked only at the end of the file.
        """
        ...

    def create(self, path: str, data: bytes | memoryview) -> bool:
        """Create the file whole with its parent directories; False if the name is taken already.

        Where the answer to an upload is lost and the upload tried again, the name can be taken by
        ourselves: False says that a file is there, its content says whose.
        """
        ...

    def delete(self, path: str) -> None:
        """Delete the file; nothing happens if it is absent."""
        ...

    def sweep(self) -> None:
        """Remove the unfinished files of writers that were killed, wherever the store keeps such.

        Whose writer is alive cannot be told: it writes its file again, and nothing is lost by it.
        """
        ...
