"""Files below a directory: a local one, through symlinks, or one that is listed folder by folder.

Promises that nothing is left out in silence: a directory that may not be read and a symlink to
nothing are errors. A symlink that leads back up is not entered. What is not a regular file
(sockets, pipes, devices) is not a file here.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmill.storage.failures import named
from labelmill.storage.store import FileMissing

_Identity = tuple[int, int]  # device and inode


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folder:
    path: str  # relative to the top, '' or with a trailing '/'
    levels: int | None  # how many more to go down, this one included; None for all
    above: frozenset[_Identity]  # itself and what it lies in: meeting one of them again is a loop


def walk(top: Path, *, hidden: bool, depth: int | None) -> Iterator[tuple[str, os.stat_result]]:
    """Relative path and status of every file at most `depth` levels below `top`; nothing if absent.

    `hidden=False` leaves out whatever lies under a name that starts with '.' or '_'.
    """
    waiting = [_Folder(path="", levels=depth, above=_identity(top))]
    while waiting:
        folder = waiting.pop()
        for name, status in _members(top / folder.path):
            if not hidden and name.startswith((".", "_")):
                continue
            if stat.S_ISREG(status.st_mode):
                yield folder.path + name, status
            elif stat.S_ISDIR(status.st_mode):
                waiting.extend(_inner(folder, name, status))


def descend(
    top: str, depth: int | None, members: Callable[[str], Iterable[Mapping[str, Any]]]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and fsspec's description of what is no folder at most `depth` levels below `top`.

    fsspec walks, too, but takes an inner folder whose listing fails for an empty one.
    """
    waiting = [(top, depth)]
    while waiting:
        folder, levels = waiting.pop()
        for info in members(folder):
            name = info["name"].rstrip("/")
            if info["type"] != "directory":
                yield info["name"], info
            elif levels != 1 and name != folder.rstrip("/"):
                waiting.append((name, None if levels is None else levels - 1))


def _inner(folder: _Folder, name: str, status: os.stat_result) -> Iterator[_Folder]:
    identity = (status.st_dev, status.st_ino)
    if folder.levels == 1 or identity in folder.above:
        return
    yield _Folder(
        path=f"{folder.path}{name}/",
        levels=None if folder.levels is None else folder.levels - 1,
        above=folder.above | {identity},
    )


def _identity(top: Path) -> frozenset[_Identity]:
    try:
        with named(str(top)):
            status = top.stat()
    except FileMissing:
        return frozenset()
    return frozenset({(status.st_dev, status.st_ino)})


def _members(directory: Path) -> list[tuple[str, os.stat_result]]:
    try:
        with named(str(directory)), os.scandir(directory) as items:
            found = list(items)
    except FileMissing:
        return []
    members = ((item.name, _status(item)) for item in found)
    return [(name, status) for name, status in members if status is not None]


def _status(item: "os.DirEntry[str]") -> os.stat_result | None:
    """The status behind a name; None if it is gone since it was listed."""
    try:
        with named(item.path):
            return item.stat()
    except FileMissing as error:
        if item.is_symlink():
            raise FileMissing(
                f"{item.path!r} is a symbolic link to nothing; remove or mend it"
            ) from error
        return None
