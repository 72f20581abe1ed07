"""Rows of a media folder: one a file, by name, with what the metadata say of it.

Columns: `file_name`, relative to the root of the source; `label`, the name of the folder, where it
is not the root and the metadata have no column of that name; the media, as struct<bytes, path>; and
the columns of the metadata. Metadata of a file that is not there are a bad row. Memory holds the
files of one split.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from labelmill.errors import InputError
from labelmill.ops import schemas
from labelmill.ops.cutting import Cut, Cutter
from labelmill.ops.fields import MEDIA
from labelmill.ops.folder_metadata import FILE_NAME, Metadata, load
from labelmill.ops.media_folders import Folder, MediaKind, look
from labelmill.ops.table_rows import Wanted, roots, table_rows
from labelmill.splits import Break, CutRule, Rows, Shard, Split
from labelmill.storage import join, open_file

LABEL = "label"
_ERROR = "/"  # the column of verdicts, beside those of `schema`
MAX_FILE = 256 << 20  # bytes
_BATCH_ROWS, _BATCH_BYTES = 64, 4 << 20


def read(
    shard: Shard, kind: MediaKind, rule: CutRule, done: Mapping[int, Split], wanted: Wanted
) -> Iterator[tuple[Split, Rows, tuple[Break, ...]]]:
    """The splits of a folder that are not done, by name; each file that is needed is read once.

    A folder whose metadata cannot be used is one empty split and a break over everything.
    """
    for cut in _cuts(shard, kind, rule, done, roots(wanted)):
        rows = table_rows(
            cut.table.drop_columns([_ERROR]),
            range(cut.split.start, cut.split.stop),
            wanted,
            source=f"shard {shard.path!r}",
            error=cut.table[_ERROR],
        )
        yield cut.split, rows, cut.breaks


def _cuts(
    shard: Shard, kind: MediaKind, rule: CutRule, done: Mapping[int, Split], needed: frozenset[str]
) -> Iterator[Cut]:
    try:
        rows = FolderRows(look(shard, kind), kind)
    except InputError as error:
        cutter = Cutter(shard.path, rule, done, pa.schema([(_ERROR, pa.string())]))
        yield from cutter.skip(Break(start=0, stop=None, reason=str(error)))
        yield from cutter.end()
        return
    schema = rows.selected(needed)
    yield from rows.cuts(Cutter(shard.path, rule, done, schema), schema)


class FolderRows:
    """The rows of one folder."""

    def __init__(self, folder: Folder, kind: MediaKind) -> None:
        """Raises InputError where the metadata cannot be used."""
        self._folder, self._kind = folder, kind
        self._sizes = {_name(entry.path): entry.size for entry in folder.files}
        self._metadata = _metadata(folder)
        self._prefix = _prefix(folder)
        self.names = sorted({*self._sizes, *self._named()})
        self.schema = self._schema()

    def selected(self, columns: frozenset[str]) -> pa.Schema:
        """Those of the columns that are there, and the verdicts."""
        fields = [field for field in self.schema if field.name in columns]
        return pa.schema([*fields, pa.field(_ERROR, pa.string())])

    def cuts(self, cutter: Cutter, schema: pa.Schema) -> Iterator[Cut]:
        """All that the cutter makes of the rows it wants; other files are not touched."""
        first, size = 0, 0
        for stop, name in enumerate(self.names, 1):
            size += self._sizes.get(name, 0)
            full = stop - first == _BATCH_ROWS or size >= _BATCH_BYTES
            if not full and stop < len(self.names):
                continue
            start = stop if cutter.wanted is None else max(first, cutter.wanted)
            if start < stop:
                yield from cutter.feed(start, self._batch(start, stop, schema))
            first, size = stop, 0
        yield from cutter.end()

    def _named(self) -> Iterator[str]:
        """The files of this folder that the metadata name."""
        for path in self._metadata.rows if self._metadata else ():
            folder, _, name = path.rpartition("/")
            if folder == self._prefix.rstrip("/"):
                yield name

    def _schema(self) -> pa.Schema:
        told = list(self._metadata.table.schema) if self._metadata else []
        ours = [pa.field(FILE_NAME, pa.string()), pa.field(self._kind.word, MEDIA)]
        if self._folder.path and LABEL not in [field.name for field in told]:
            ours.insert(1, pa.field(LABEL, pa.string()))
        schema = pa.schema([*ours, *told])
        schemas.refuse_twins(f"the metadata of {self._folder.url!r}", schema)
        return schema

    def _batch(self, start: int, stop: int, schema: pa.Schema) -> pa.RecordBatch:
        names = self.names[start:stop]
        columns = [self._column(field, names) for field in schema]
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _error(self, name: str) -> str | None:
        size = self._sizes.get(name)
        if size is None:
            return f"the metadata name a file {name!r} that is not there"
        return f"a file of {size} bytes, more than {MAX_FILE}" if size > MAX_FILE else None

    def _column(self, field: pa.Field, names: list[str]) -> pa.Array:
        if field.name == _ERROR:
            return pa.array([self._error(name) for name in names], pa.string())
        if field.name == self._kind.word:
            return pa.array([self._media(name) for name in names], MEDIA)
        if field.name == FILE_NAME:
            return self._paths(names)
        if self._metadata is None or field.name not in self._metadata.table.column_names:
            return pa.array([_name(self._folder.path)] * len(names), pa.string())
        places = [self._metadata.rows.get(self._prefix + name) for name in names]
        known = np.array([place is None for place in places])
        indices = pa.array([place or 0 for place in places], pa.int64(), mask=known)
        return self._metadata.table[field.name].take(indices).combine_chunks()

    def _paths(self, names: list[str]) -> pa.Array:
        paths = (join(self._folder.path, name) if self._folder.path else name for name in names)
        # Names that are not UTF-8 are bad rows, not errors.
        raw = pa.array([path.encode(errors="surrogateescape") for path in paths], pa.binary())
        return raw.view(pa.string())

    def _media(self, name: str) -> dict[str, bytes | str] | None:
        if self._error(name) is not None:
            return None
        url = join(self._folder.url, name)
        with open_file(url) as file:
            return {"bytes": file.read(), "path": url}


def _metadata(folder: Folder) -> Metadata | None:
    if folder.metadata is None:
        return None
    return load(join(folder.root, folder.metadata.path), folder.metadata.version)


def _prefix(folder: Folder) -> str:
    """What stands before the name of a file where the metadata name it."""
    if folder.metadata is None:
        return ""
    above = folder.metadata.path.rpartition("/")[0]
    rest = folder.path.removeprefix(above).strip("/")
    return f"{rest}/" if rest else ""


def _name(path: str) -> str:
    return path.rpartition("/")[2]
