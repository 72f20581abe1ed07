"""Places: what a path of the job file means - one file, a directory, or a glob - and its files.

A path that exists is taken literally, whatever characters it has; only what does not exist is tried
as a glob. The same holds for its folders: `data/[2026]/*.jsonl` works where `data/[2026]` is there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fsspec.utils import glob_translate

from labelmill.errors import InputError
from labelmill.ops.plugins import suggestion
from labelmill.storage import Entry, FileMissing, absolute, open_store, split_url

_WEB = ("http://", "https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A path of the job file, found."""

    given: str  # as it was written
    kind: Literal["file", "directory", "glob"]
    root: str  # absolute path or URL; the names of shards start below it
    rest: str  # file: its name; glob: the pattern below the root; directory: ''


def find(given: str) -> Place:
    """What the path names; raises InputError if there is nothing, with the near miss."""
    url = absolute(given)
    store = open_store(url)
    kind = store.kind("")
    # An object store may have an object and a prefix of one name; the slash says which is meant.
    if kind == "file" and given.endswith("/") and next(store.list(), None) is not None:
        kind = "directory"
    if kind == "directory":
        return Place(given=given, kind=kind, root=url, rest="")
    if kind == "file":
        parent, name = split_url(url)
        return Place(given=given, kind=kind, root=parent, rest=name)
    if not _magic(url):
        raise InputError(_missing(given, url))
    return _glob(given, url)


def entries(place: Place) -> Iterator[Entry]:
    """The files of a place, with paths below its root, hidden names left out below the root.

    Raises InputError for a hidden file named itself, a symbolic link to nothing, a glob that
    matches no file.
    """
    try:
        if place.kind == "file":
            yield _file(place)
        elif place.kind == "directory":
            yield from open_store(place.root).list(hidden=False)
        else:
            yield from _matches(place)
    except FileMissing as error:
        raise InputError(f"source path {place.given!r}: {error}") from error


def reaches(place: Place, folders: tuple[str, ...]) -> bool:
    """Whether a file somewhere below these folders of the root could belong to the place."""
    if place.kind != "glob":
        return place.kind == "directory"
    parts = place.rest.split("/")
    for folder, part in zip(folders, parts, strict=False):
        if part == "**":
            return True
        if not re.fullmatch(glob_translate(part), folder):
            return False
    return len(folders) < len(parts)


def _glob(given: str, url: str) -> Place:
    root, names = url, list[str]()
    while _magic(root) and (not names or open_store(root).kind("") != "directory"):
        root, name = split_url(root)
        names.insert(0, name)
    if open_store(root).kind("") is None:
        raise InputError(_missing(given, root))
    return Place(given=given, kind="glob", root=root, rest="/".join(names))


def _file(place: Place) -> Entry:
    if place.rest.startswith((".", "_")):
        raise InputError(
            f"source path {place.given!r}: names that start with '.' or '_' are passed over by "
            "whoever reads the output; rename it"
        )
    return open_store(place.root).stat(place.rest)


def _matches(place: Place) -> Iterator[Entry]:
    pattern, depth = _compiled(place)
    none = True
    for entry in open_store(place.root).list(hidden=False, depth=depth):
        if pattern.fullmatch(entry.path):
            none = False
            yield entry
    if none:
        raise InputError(
            f"source path {place.given!r}: no file below {place.root!r} matches {place.rest!r}"
        )


def _compiled(place: Place) -> tuple[re.Pattern[str], int | None]:
    """The pattern of a glob, and how many levels below the root it can match."""
    try:
        pattern = re.compile(glob_translate(place.rest))
    except (ValueError, re.error) as error:
        raise InputError(f"source path {place.given!r} is no valid glob: {error}") from error
    return pattern, None if "**" in place.rest else place.rest.count("/") + 1


def _magic(url: str) -> bool:
    # Over HTTP a '?' begins the query.
    characters = "*[" if url.startswith(_WEB) else "*?["
    return any(character in url for character in characters)


def _missing(given: str, url: str) -> str:
    if url.startswith(_WEB):  # a server need not list its folders, and most do not
        return f"source path {given!r} does not exist: its server has no such file"
    parent, name = split_url(url)
    while name and open_store(parent).kind("") is None:
        parent, name = split_url(parent)
    near = suggestion(name, open_store(parent).names(""))
    return f"source path {given!r} does not exist: there is no {name!r} in {parent!r}{near}"
