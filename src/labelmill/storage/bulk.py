"""Bulk: many small files of a store at once, in bounded memory and in order."""

from collections.abc import Iterable, Iterator

from labelmill import threads
from labelmill.storage.store import FileMissing, Store


def read(store: Store, path: str) -> bytes:
    """One file; raises FileMissing."""
    with store.open(path) as file:
        return file.read()


def read_all(store: Store, paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Each file that is there, in the order of `paths`; those that are gone by now are left out."""

    def found(path: str) -> bytes | None:
        try:
            return read(store, path)
        except FileMissing:
            return None

    for path, data in threads.spread(found, paths):
        if data is not None:
            yield path, data


def delete_all(store: Store, paths: Iterable[str]) -> None:
    """Delete every file; one that is gone is no error."""
    for _ in threads.spread(store.delete, paths):
        pass
