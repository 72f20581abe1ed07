"""Own files: a name that is taken may be taken by ourselves.

A store that repeats a request whose answer was lost finds there what it has just written. Only the
content says whose the file is.
"""

from pathlib import Path
from typing import BinaryIO

from labelmill.storage.remote import RemoteStore
from labelmill.storage.store import FileMissing, Store

_PIECE = 16 << 20  # bytes of a request


def put(store: Store, path: str, data: bytes) -> bool:
    """Create the file; False where another one has the name, True where it has this content."""
    return store.create(path, data) or _holds(store, path, data)


def put_from(store: RemoteStore, path: str, file: Path) -> bool:
    """As `put`, of a file of this machine, however large."""
    return store.create_from(path, file) or _same(store, path, file)


def _holds(store: Store, path: str, data: bytes) -> bool:
    try:
        with store.open(path) as there:
            return there.read(len(data) + 1) == data
    except FileMissing:  # another one's, who has deleted it
        return False


def _same(store: Store, path: str, file: Path) -> bool:
    try:
        with store.open(path) as there, file.open("rb") as here:
            return _equal(there, here)
    except FileMissing:
        return False


def _equal(there: BinaryIO, here: BinaryIO) -> bool:
    while piece := here.read(_PIECE):
        if there.read(_PIECE) != piece:
            return False
    return not there.read(1)
