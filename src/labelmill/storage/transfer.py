"""Transfers: directories of files between this machine and a place behind a URL.

Each file appears whole. The directory does not: who must know when it is whole looks for the file
that is written last.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from labelmill.errors import StorageError
from labelmill.storage import own
from labelmill.storage.failures import named
from labelmill.storage.opening import open_remote
from labelmill.storage.urls import join

_PIECE = 16 << 20  # bytes of a request


def upload(folder: Path, url: str, *, last: Sequence[str] = ()) -> None:
    """Every file of the folder; those of `last` after all others, in their order.

    Files of the same names, which an earlier attempt left, are deleted first. Raises StorageError
    where another process writes one of them at the same time.
    """
    store = open_remote(url)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in files]
    for name in reversed(last):
        store.delete(name)
    for name in sorted(names, key=lambda name: last.index(name) if name in last else -1):
        store.delete(name)
        if not own.put_from(store, name, folder / name):
            raise StorageError(
                f"{join(url, name)!r} was written by another process at the same time; run only "
                "one job with this output"
            )


def download(url: str, folder: Path, wanted: Callable[[str], bool] = lambda _: True) -> None:
    """The files below the URL whose paths there are wanted, into a new directory.

    Raises StorageError for a name that would lie elsewhere, which only an object store can have.
    """
    store = open_remote(url)
    folder.mkdir(parents=True)
    for entry in store.list():
        if wanted(entry.path):
            if not {"", ".", ".."}.isdisjoint(entry.path.split("/")):
                raise StorageError(
                    f"{join(url, entry.path)!r} has a name that no file can have; rename it"
                )
            place = folder / entry.path
            with named(str(place)), store.open(entry.path) as source:
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("xb") as target:
                    shutil.copyfileobj(source, target, _PIECE)


def clear(url: str) -> None:
    """Delete every file below the URL."""
    store = open_remote(url)
    for entry in list(store.list()):
        store.delete(entry.path)
