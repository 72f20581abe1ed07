"""Stores: the only code that touches files.

A store is a directory tree on a local disk or behind a URL. Paths are relative to its root and
written with '/'.
A file is created whole and only if absent, or not at all; nothing is ever overwritten.
Every failure of a disk or network is a StorageError that names the file; a missing file is
`FileMissing`, so that callers can tell the two apart.
"""

from labelmill.storage.opening import (
    UnknownScheme,
    canonical,
    is_link,
    open_file,
    open_filesystem,
    open_store,
)
from labelmill.storage.own import put
from labelmill.storage.remote import is_object_store
from labelmill.storage.room import refuse_no_room
from labelmill.storage.store import Entry, FileMissing, Kind, Store
from labelmill.storage.transfer import clear, download, upload
from labelmill.storage.urls import absolute, is_absolute, is_local, join, split_url

__all__ = [
    "Entry",
    "FileMissing",
    "Kind",
    "Store",
    "UnknownScheme",
    "absolute",
    "canonical",
    "clear",
    "download",
    "is_absolute",
    "is_link",
    "is_local",
    "is_object_store",
    "join",
    "open_file",
    "open_filesystem",
    "open_store",
    "put",
    "refuse_no_room",
    "split_url",
    "upload",
]
