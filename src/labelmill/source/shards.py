"""From the paths of a job to its shards, by name and suffix alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from labelmill.errors import InputError
from labelmill.formats import Format
from labelmill.ops import plugins
from labelmill.ops.media_folders import MediaKind, gather
from labelmill.source.places import Place, entries, find
from labelmill.source.saved import without_rows
from labelmill.splits import Shard
from labelmill.storage import Entry, canonical, is_link, join, split_url

AUTO = "auto"
_FORMATS = "labelmill.formats"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The shards of a source, sorted by path, and the files in it that are none."""

    shards: tuple[Shard, ...]  # at least one; no two of one path, no two of one file
    foreign: tuple[str, ...]  # absolute paths or URLs, sorted; what is not UTF-8 is escaped


def find_formats() -> Mapping[str, Format]:
    """Every format by its name."""
    names = plugins.modules(_FORMATS, having="SUFFIXES")
    return {name: plugins.load(_FORMATS, name, having="SUFFIXES") for name in names}


def list_shards(
    paths: Sequence[str],
    format: str = AUTO,  # noqa: A002 - the word of the job file
) -> Listing:
    """The shards below files, directories (all levels) and globs, local or behind URLs.

    A shard's path is relative to the directory, to the part of the glob without magic, or to the
    directory of the file. Names that start with '.' or '_' below it are passed over. The suffix
    tells the format, in any case. With a `format` given, single files and what a glob matches are
    of it, whatever their suffix; in a directory only its suffixes count. The rest is foreign, as is
    what `datasets` wrote beside the data files of a saved dataset.

    Raises InputError for a path that is missing, a single file of unknown suffix, a name that is
    not UTF-8, two shards of one path, one file under two paths (a link to another shard, too), and
    a source without shards;
    ConfigError for an unknown format.
    """
    chosen = _Suffixes(format)
    found = _Found()
    for place in map(find, paths):
        listed = list(entries(place))
        if chosen.folders is not None:
            found.add_folders(place, listed, chosen)
            continue
        rowless = without_rows(place.root, listed) if place.kind != "file" else frozenset()
        for entry in listed:
            known = None if entry.path in rowless else chosen.format_of(place, entry)
            found.add(place, entry, known)
    if not found.shards:
        raise InputError(_none(paths, found.foreign, chosen))
    return found.listing()


class _Suffixes:
    """Which format a file has, as far as names tell."""

    def __init__(self, wanted: str) -> None:
        formats = find_formats()
        self.wanted = wanted
        self.folders: MediaKind | None = None  # of a format whose shards are folders
        if wanted != AUTO:
            formats = {wanted: plugins.load(_FORMATS, wanted, having="SUFFIXES")}
            self.folders = getattr(formats[wanted], "FOLDERS", None)
        pairs = [(suffix, name) for name, module in formats.items() for suffix in module.SUFFIXES]
        # The longest first: ".jsonl.gz" is not ".gz".
        self.known = sorted(pairs, key=lambda pair: (-len(pair[0]), pair))

    def format_of(self, place: Place, entry: Entry) -> str | None:
        """The format's name; None for a foreign file; InputError if it was named itself."""
        if self.wanted != AUTO and place.kind != "directory":
            return self.wanted
        name = entry.path.lower()
        found = next((name_ for suffix, name_ in self.known if name.endswith(suffix)), None)
        if found is None and place.kind == "file":
            raise InputError(
                f"source path {place.given!r} ends in none of {self.listed()}; "
                "rename it, or say what it is with source.format"
            )
        return found

    def listed(self) -> str:
        """The suffixes for a message."""
        if self.folders is not None:
            return ", ".join(sorted(f".{ending}" for ending in self.folders.endings))
        return ", ".join(sorted(suffix for suffix, _ in self.known))


class _Found:
    """Shards and foreign files so far."""

    def __init__(self) -> None:
        self.shards: dict[str, Shard] = {}
        self.paths: dict[str, str] = {}  # by the one name that a shard's place has
        self.folders: dict[str, str] = {}  # the same of folders
        self.links: dict[str, str] = {}  # where shards behind links lie, by path
        self.foreign: set[str] = set()

    def add(self, place: Place, entry: Entry, format_name: str | None) -> None:
        """Take in one file; the same file by the same path twice is once."""
        url = join(place.root, entry.path)
        if format_name is None:
            self.foreign.add(url)
            return
        _refuse_name(url, entry.path)
        shard = Shard(
            path=entry.path, url=url, format=format_name, size=entry.size, version=entry.version
        )
        self._take(place, shard)

    def add_folders(self, place: Place, listed: Sequence[Entry], chosen: "_Suffixes") -> None:
        """Take in the folders below a directory that hold media; the rest of it is foreign."""
        if place.kind != "directory" or chosen.folders is None:
            raise InputError(
                f"source path {place.given!r} is no directory, as {chosen.wanted} needs; name the "
                "directory above its files"
            )
        folders = gather(place.root, listed, chosen.folders)
        taken = {path for folder in folders for path in folder.paths}
        self.foreign |= {join(place.root, e.path) for e in listed if e.path not in taken}
        for folder in folders:
            shard = folder.shard(chosen.folders, chosen.wanted)
            _refuse_name(shard.url, shard.path)
            self._take(place, shard)

    def listing(self) -> Listing:
        """Everything in a fixed order; InputError for a link to another shard."""
        for path, one_name in self.links.items():
            self._refuse_clash(self.shards[path], one_name)
        taken = {shard.url for shard in self.shards.values()}
        return Listing(
            shards=tuple(self.shards[path] for path in sorted(self.shards)),
            foreign=tuple(sorted(_printable(self.foreign - taken))),
        )

    def _take(self, place: Place, shard: Shard) -> None:
        """Raises InputError for two shards of one path, and for one shard of two."""
        # A link, or another word for the same scheme, would make one file two.
        one_name = join(self._canonical(place.root), shard.path)
        self._refuse_clash(shard, one_name)
        self.shards[shard.path] = shard
        self.paths[one_name] = shard.path
        folder, name = split_url(join(place.root, shard.path))
        target = join(self._canonical(folder), name)
        target = canonical(target) if is_link(target) else target
        if target != one_name:
            self.links[shard.path] = target

    def _canonical(self, folder: str) -> str:
        """Remembered, as a hundred thousand shards lie in few folders."""
        if folder not in self.folders:
            self.folders[folder] = canonical(folder)
        return self.folders[folder]

    def _refuse_clash(self, shard: Shard, one_name: str) -> None:
        other = self.shards.get(shard.path, shard)
        if other.url != shard.url:
            raise InputError(
                f"two shards have the same path {shard.path!r}: {other.url!r} and {shard.url!r}; "
                "name a directory above both, or label them in two jobs"
            )
        path = self.paths.get(one_name, shard.path)
        if path != shard.path:
            raise InputError(
                f"{shard.url!r} is in the source twice, as {path!r} and as {shard.path!r}; "
                "its rows would be labelled twice"
            )


def _refuse_name(url: str, path: str) -> None:
    try:
        url.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the name of shard {url!r} is not UTF-8; rename it") from error
    if "//" in f"/{path}":
        raise InputError(f"the name of shard {url!r} has a folder without a name; rename it")


def _printable(names: Iterable[str]) -> Iterator[str]:
    return (name.encode("utf-8", "backslashreplace").decode() for name in names)


def _none(paths: Sequence[str], foreign: set[str], chosen: _Suffixes) -> str:
    where = ", ".join(repr(path) for path in paths) or "an empty list of paths"
    seen = (
        f"found {len(foreign)} other files, such as {min(foreign)!r}" if foreign else "found none"
    )
    return f"a source without shards: {where}; expected files ending in {chosen.listed()}, {seen}"
