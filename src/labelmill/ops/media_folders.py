"""Media folders: files of one kind in folders, each folder a shard, metadata beside or above them.

The shard of a folder is called after what it holds: `cats/image` is the folder `cats`, `image` the
root's own. So the root of the source is known from a shard's path and URL, and no two folders have
one name. Metadata lie in the folder or in the nearest one above that has any, up to the root.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from labelmill.errors import InputError
from labelmill.ops.media_types import ending
from labelmill.splits import Shard
from labelmill.storage import Entry, join, open_store

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaKind:
    """What the folders hold: the word for it, and how the names of its files end."""

    word: str  # also the name of the column
    endings: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """One folder. Paths of entries are relative to the root."""

    path: str  # below the root, '' for the root itself
    root: str  # absolute path or URL
    files: tuple[Entry, ...]  # media alone, by name
    metadata: Entry | None = None

    @property
    def url(self) -> str:
        """Where it lies."""
        return join(self.root, self.path)

    @property
    def paths(self) -> tuple[str, ...]:
        """All its files, below the root."""
        return tuple(entry.path for entry in self._entries)

    @property
    def size(self) -> int:
        """Bytes of its media."""
        return sum(entry.size for entry in self.files)

    @property
    def version(self) -> str:
        """Changes when a file does, comes or goes, and when the metadata change."""
        facts = "".join(f"{one.path}\n{one.size}\n{one.version}\n" for one in self._entries)
        return hashlib.sha256(facts.encode(errors="surrogateescape")).hexdigest()[:32]

    @property
    def _entries(self) -> tuple[Entry, ...]:
        return (*self.files, self.metadata) if self.metadata else self.files

    def shard(self, kind: MediaKind, format_name: str) -> Shard:
        """The folder as a shard."""
        return Shard(
            path=f"{self.path}/{kind.word}".lstrip("/"),
            url=self.url,
            format=format_name,
            size=self.size,
            version=self.version,
        )


def gather(root: str, entries: Iterable[Entry], kind: MediaKind) -> list[Folder]:
    """The folders of a listing that hold media themselves, by path."""
    held: dict[str, list[Entry]] = defaultdict(list)
    metadata: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        folder, _, name = entry.path.rpartition("/")
        if name in METADATA:
            metadata[folder].append(entry)
        elif ending(name) in kind.endings:
            held[folder].append(entry)
    return [
        Folder(
            path=path,
            root=root,
            files=tuple(sorted(held[path], key=lambda entry: entry.path)),
            metadata=_nearest(root, path, metadata),
        )
        for path in sorted(held)
    ]


def look(shard: Shard, kind: MediaKind) -> Folder:
    """The folder of a shard as it is now; without files where it is gone."""
    path = shard.path.removesuffix(kind.word).rstrip("/")
    root = (shard.url.removesuffix(path).rstrip("/") or "/") if path else shard.url
    store = open_store(root)
    entries = list(store.list(path, hidden=False, depth=1))
    for above in list(_upwards(path))[1:]:
        beside = store.list(above, hidden=False, depth=1)
        entries += [entry for entry in beside if entry.path.rpartition("/")[2] in METADATA]
    found = {folder.path: folder for folder in gather(root, entries, kind)}
    return found.get(path, Folder(path=path, root=root, files=()))


def _nearest(root: str, path: str, metadata: Mapping[str, list[Entry]]) -> Entry | None:
    for folder in _upwards(path):
        found = metadata.get(folder, [])
        if len(found) > 1:
            names = sorted(each.path.rpartition("/")[2] for each in found)
            raise InputError(
                f"{join(root, folder)!r} has both {' and '.join(names)}; leave one of them"
            )
        if found:
            return found[0]
    return None


def _upwards(path: str) -> Iterator[str]:
    """The folder, and those above it to the root."""
    yield path
    while path:
        path = path.rpartition("/")[0]
        yield path
