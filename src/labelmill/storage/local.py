"""A directory of a local or mounted disk.

A file appears by a hard link to a finished temporary, the one way that is both whole and exclusive.
What a killed process leaves is a temporary: its name has no data suffix, and no listing shows it.
`sweep` removes them; a writer that lost its temporary so writes another one.
"""

import errno
import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from labelmill.errors import StorageError
from labelmill.storage.failures import named
from labelmill.storage.ranged import RangedFile
from labelmill.storage.store import Entry, FileMissing, Kind
from labelmill.storage.walking import walk

_TEMPORARY = ".tmp-"
_OURS = re.compile(re.escape(_TEMPORARY) + "[0-9a-f]{32}")
_TRIES = 5  # temporaries of one file that may be swept away
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP)
_NO_FILE = (errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


class LocalStore:
    """The store below an absolute path; nothing needs to be there yet."""

    exclusive = True  # see `Store.exclusive`

    def __init__(self, root: str) -> None:
        self.url = root

    def list(
        self, prefix: str = "", *, hidden: bool = True, depth: int | None = None
    ) -> Iterator[Entry]:
        """See `Store.list`; symlinks are followed, a dangling one is FileMissing."""
        top = self._place(prefix)
        if not top.is_dir():
            return
        start = f"{prefix}/" if prefix else ""
        for path, status in walk(top, hidden=hidden, depth=depth):
            if not path.rpartition("/")[2].startswith(_TEMPORARY):
                yield _entry(start + path, status)

    def kind(self, path: str) -> Kind | None:
        """See `Store.kind`; None for what is neither, such as a socket."""
        place = self._place(path)
        with named(str(place)):
            if place.is_dir():
                return "directory"
            return "file" if place.is_file() else None

    def names(self, path: str) -> tuple[str, ...]:
        """See `Store.names`."""
        place = self._place(path)
        with named(str(place)):
            return tuple(item.name for item in place.iterdir()) if place.is_dir() else ()

    def stat(self, path: str) -> Entry:
        """See `Store.stat`."""
        place = self._place(path)
        with named(str(place)):
            if place.is_dir():
                raise FileMissing(f"{str(place)!r} is a directory, not a file")
            return _entry(path, place.stat())

    def open(self, path: str) -> BinaryIO:
        """See `Store.open`; a file that is written to meanwhile is a StorageError."""
        place = self._place(path)
        with named(str(place)):
            handle = _opened(place)
            status = os.fstat(handle.fileno())
        guard = _guard(str(place), handle, status)
        return cast("BinaryIO", RangedFile(handle, status.st_size, str(place), guard))

    def create(self, path: str, data: bytes | memoryview) -> bool:
        """See `Store.create`; durable when it returns, whoever won."""
        place = self._place(path)
        with named(str(place)):
            _make(place.parent)
            won = _created(place, data)
            _sync(place.parent)
        return won

    def delete(self, path: str) -> None:
        """See `Store.delete`."""
        place = self._place(path)
        with named(str(place)):
            place.unlink(missing_ok=True)
            if place.parent.is_dir():
                _sync(place.parent)

    def sweep(self) -> None:
        """See `Store.sweep`; symlinks are not followed."""
        with named(self.url):
            for folder, _, names in os.walk(self.url):
                for name in filter(_OURS.fullmatch, names):
                    Path(folder, name).unlink(missing_ok=True)

    def _place(self, path: str) -> Path:
        return Path(self.url, path)


def _entry(path: str, status: os.stat_result) -> Entry:
    return Entry(path=path, size=status.st_size, version=str(status.st_mtime_ns))


def _opened(place: Path) -> BinaryIO:
    """Raises FileMissing for what no file can be called: a directory, a name that is too long."""
    if "\0" in str(place):
        raise FileMissing(f"{str(place)!r} does not exist, as no name may have a NUL")
    try:
        return place.open("rb")
    except OSError as error:
        if error.errno in _NO_FILE:
            raise FileMissing(f"{str(place)!r} is no file: {error.strerror}") from error
        raise


def _guard(
    name: str, handle: BinaryIO, opened: os.stat_result
) -> Callable[[Callable[[], bytes]], bytes]:
    def run(read: Callable[[], bytes]) -> bytes:
        with named(name):
            data = read()
            now = os.fstat(handle.fileno())
        if (now.st_size, now.st_mtime_ns) != (opened.st_size, opened.st_mtime_ns):
            raise StorageError(
                f"{name!r} was written to while it was read; see that nothing writes to it, and "
                "run again"
            )
        return data

    return run


def _make(directory: Path) -> None:
    """The directory with its parents, each new one known to its parent for good."""
    if directory.is_dir():
        return
    _make(directory.parent)
    directory.mkdir(exist_ok=True)
    _sync(directory.parent)


def _created(place: Path, data: bytes | memoryview) -> bool:
    """Whether the file is ours; raises StorageError where every temporary was swept away."""
    for _ in range(_TRIES):
        temporary = place.with_name(f"{_TEMPORARY}{uuid.uuid4().hex}")
        with _removed(temporary):
            _write(temporary, data)
            try:
                return _link(temporary, place)
            except FileNotFoundError:
                if temporary.exists():
                    raise
    raise StorageError(
        f"{str(place)!r} could not be created: its temporary was removed {_TRIES} times before it "
        "had its name; see that nothing else removes files there, then run again"
    )


def _write(place: Path, data: bytes | memoryview) -> None:
    with place.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _removed(place: Path) -> Iterator[None]:
    try:
        yield
    finally:
        place.unlink(missing_ok=True)


def _link(temporary: Path, place: Path) -> bool:
    try:
        place.hardlink_to(temporary)
    except FileExistsError:
        if place.is_dir():
            raise
        # NFS may lose the answer to a link that it made, and then finds the name taken by us.
        return temporary.stat().st_nlink > 1
    except OSError as error:
        if error.errno in _NO_LINKS:
            raise StorageError(
                f"{str(place.parent)!r} is on a filesystem without hard links ({error.strerror}): "
                "no file can be created whole and only if absent there; write to another disk"
            ) from error
        raise
    return True


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network and FUSE filesystems keep names durable by themselves and refuse the call.
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(handle)
