"""Stores: the only code that touches files.

A store is a directory tree on a local disk or behind a URL. Paths are relative to its root, with '/'.
A file is created whole and only if absent, or not at all; nothing is ever overwritten.
Every failure of a disk or network is a StorageError that names the file; a missing file is
`FileMissing`, so that callers can tell the two apart.
"""

from labelmill.storage.store import Entry, FileMissing, Store
from labelmill.storage.opening import open_file, open_store

__all__ = ["Entry", "FileMissing", "Store", "open_file", "open_store"]
