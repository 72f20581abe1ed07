"""Stores for tests: one in memory, under the contract of `Store`, and one that fails as told."""

import io
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

from labelmill.errors import StorageError
from labelmill.storage import Entry, FileMissing, Kind, Store


class MemoryStore:
    """Files as a dictionary. Every verb is one atomic step for all threads."""

    def __init__(self, files: Mapping[str, bytes] | None = None, *, exclusive: bool = True) -> None:
        self.url = "mem://run"
        self.exclusive = exclusive
        self.files: dict[str, bytes] = dict(files or {})
        self._lock = threading.Lock()

    def copy(self) -> "MemoryStore":
        """Another store with the same files."""
        return MemoryStore(self.files, exclusive=self.exclusive)

    def list(
        self, prefix: str = "", *, hidden: bool = True, depth: int | None = None
    ) -> Iterator[Entry]:
        """See `Store`."""
        top = f"{prefix}/" if prefix else ""
        with self._lock:
            found = [_entry(path, data) for path, data in self.files.items()]
        for entry in found:
            below = entry.path.removeprefix(top).split("/")
            deep = depth is not None and len(below) > depth
            veiled = not hidden and any(name.startswith((".", "_")) for name in below)
            if entry.path.startswith(top) and not deep and not veiled:
                yield entry

    def kind(self, path: str) -> Kind | None:
        """See `Store`."""
        if path in self.files:
            return "file"
        return "directory" if any(self.list(path)) else None

    def names(self, path: str) -> tuple[str, ...]:
        """See `Store`."""
        top = f"{path}/" if path else ""
        return tuple({entry.path.removeprefix(top).split("/")[0] for entry in self.list(path)})

    def stat(self, path: str) -> Entry:
        """See `Store`."""
        return _entry(path, self._content(path))

    def open(self, path: str) -> BinaryIO:
        """See `Store`."""
        return io.BytesIO(self._content(path))

    def create(self, path: str, data: bytes | memoryview) -> bool:
        """See `Store`."""
        with self._lock:
            if path in self.files and self.exclusive:
                return False
            self.files[path] = bytes(data)
            return True

    def delete(self, path: str) -> None:
        """See `Store`."""
        with self._lock:
            self.files.pop(path, None)

    def sweep(self) -> None:
        """See `Store`: nothing is ever unfinished."""

    def _content(self, path: str) -> bytes:
        with self._lock:
            if path not in self.files:
                raise FileMissing(f"{path!r} does not exist")
            return self.files[path]


Fault = Callable[[str, str], None]  # verb, path; raises to fail the verb


class FaultyStore:
    """A store whose verbs fail when `before` raises, or when `after` does, the deed being done."""

    def __init__(
        self, inner: Store, before: Fault | None = None, after: Fault | None = None
    ) -> None:
        self.inner = inner
        self.url = inner.url
        self.exclusive = inner.exclusive
        self._before = before or _nothing
        self._after = after or _nothing

    def list(
        self, prefix: str = "", *, hidden: bool = True, depth: int | None = None
    ) -> Iterator[Entry]:
        """See `Store`."""
        self._before("list", prefix)
        found = list(self.inner.list(prefix, hidden=hidden, depth=depth))
        self._after("list", prefix)
        return iter(found)

    def kind(self, path: str) -> Kind | None:
        """See `Store`."""
        self._before("kind", path)
        return self.inner.kind(path)

    def names(self, path: str) -> tuple[str, ...]:
        """See `Store`."""
        self._before("names", path)
        return tuple(self.inner.names(path))

    def stat(self, path: str) -> Entry:
        """See `Store`."""
        self._before("stat", path)
        return self.inner.stat(path)

    def open(self, path: str) -> BinaryIO:
        """See `Store`."""
        self._before("open", path)
        return self.inner.open(path)

    def create(self, path: str, data: bytes | memoryview) -> bool:
        """See `Store`."""
        self._before("create", path)
        made = self.inner.create(path, data)
        self._after("create", path)
        return made

    def delete(self, path: str) -> None:
        """See `Store`."""
        self._before("delete", path)
        self.inner.delete(path)
        self._after("delete", path)

    def sweep(self) -> None:
        """See `Store`."""
        self._before("sweep", "")
        self.inner.sweep()
        self._after("sweep", "")


class Killed(BaseException):
    """The process died: nothing catches it, and no verb after it reaches the store."""


def killing(store: Store, steps: int) -> FaultyStore:
    """The store of a process that is killed just before its verb number `steps` (0: the first)."""
    lock, done = threading.Lock(), [0]

    def before(verb: str, path: str) -> None:
        with lock:
            done[0] += 1
            if done[0] > steps:
                raise Killed(f"{verb} {path}")

    return FaultyStore(store, before)


def failing(store: Store, verb: str, part_of_path: str) -> FaultyStore:
    """A store where one verb always fails on paths that contain a text, as a broken disk does."""

    def before(asked: str, path: str) -> None:
        if asked == verb and part_of_path in path:
            raise StorageError(f"{path!r}: no {verb} today")

    return FaultyStore(store, before)


def _nothing(verb: str, path: str) -> None:
    pass


def _entry(path: str, data: bytes) -> Entry:
    return Entry(path=path, size=len(data), version=str(hash(data)))
