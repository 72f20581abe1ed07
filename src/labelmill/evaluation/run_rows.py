"""Run rows: the columns that evaluation needs of every part that has a receipt, a batch at a time.

Parts are read one after another, and of a Parquet part only the columns asked for; where JSON Lines
were carried as they are, they are read once more before, for the types of those columns. A part
that is not what its receipt says is an error, never a gap.
"""

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from labelmill.config.nearness import nearest
from labelmill.errors import ConfigError, CorruptRun, InputError
from labelmill.evaluation import json_columns
from labelmill.formats import Format, ReadRequest
from labelmill.ledger.manifest import Manifest
from labelmill.ledger.receipt import Entry
from labelmill.ops import plugins
from labelmill.ops.json_types import is_extra, is_json_text, json_text
from labelmill.splits import Shard
from labelmill.storage import FileMissing, Store, join

_ADVICE = (
    " (columns of the source are in the output where source.keep says so; a file of gold values "
    "needs --key)"
)


class RunRows:
    """The output of a run as columns by name; dots reach into structs."""

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store, self._manifest = store, manifest
        # By name, as JSON Lines are read; what their lines hold more than we planned is added.
        self._fields = {each.name: _as_lines(each) for each in manifest.schema}
        self.unreadable = 0  # rows with a value that no column can hold; they are left out

    def look(self, entries: Iterable[Entry], columns: Sequence[str]) -> None:
        """Learn of columns that only the lines of the parts tell of; before `batches`.

        Raises CorruptRun.
        """
        roots = {name for column in columns for name in (column, column.partition(".")[0])}
        carried = roots - self._fields.keys()
        if carried and self._manifest.settings.get("output.raw"):
            shards = (self._shard(entry) for entry in entries if entry["rows_written"])
            try:
                found = json_columns.types(shards, carried)
            except FileMissing as error:
                raise CorruptRun(
                    f"a part is not what its receipt says: {error}; run `labelmill verify`"
                ) from error
            self._fields = {field.name: field for field in found} | self._fields

    def batches(self, entry: Entry, columns: Sequence[str]) -> Iterator[pa.Table]:
        """The columns of one part; raises ConfigError for one that is not there, CorruptRun."""
        lost = [column for column in columns if self._root(column) not in self._fields]
        if lost:
            raise ConfigError(no_column(lost[0], list(self._fields)) + _ADVICE)
        roots = tuple(dict.fromkeys(self._root(column) for column in columns))
        read = self._parquet if self._manifest.part_format == "parquet" else self._lines
        rows = 0
        try:
            for table, unreadable in read(entry, roots):
                rows += len(table) + unreadable
                self.unreadable += unreadable
                yield pa.table({column: reach(table, column) for column in columns})
        except FileMissing as error:
            raise CorruptRun(_lost(entry, "it is not there")) from error
        except pa.ArrowInvalid as error:
            raise CorruptRun(_lost(entry, str(error))) from error
        if rows != entry["rows_written"]:
            raise CorruptRun(_lost(entry, f"it has {rows} rows, not {entry['rows_written']}"))

    def _root(self, column: str) -> str:
        """The column itself where there is one of that name, else the part before the dot."""
        return column if column in self._fields else column.partition(".")[0]

    def _parquet(self, entry: Entry, roots: Sequence[str]) -> Iterator[tuple[pa.Table, int]]:
        with self._store.open(entry["part"]) as file:
            try:
                parquet = pq.ParquetFile(file, page_checksum_verification=True)
                rows = json_columns.RULE.split_rows
                for batch in parquet.iter_batches(rows, columns=list(roots)):
                    yield json_columns.spelled(pa.table(batch)), 0
            except (OSError, pa.ArrowNotImplementedError) as error:
                # The decoder's verdict on damaged bytes; what the disk refuses is a StorageError.
                raise pa.ArrowInvalid(str(error)) from error

    def _lines(self, entry: Entry, roots: Sequence[str]) -> Iterator[tuple[pa.Table, int]]:
        if not entry["rows_written"]:
            return
        columns = pa.schema([self._fields[root] for root in roots])
        yield from shard_tables(self._shard(entry), columns)

    def _shard(self, entry: Entry) -> Shard:
        part = entry["part"]
        url, size = join(self._store.url, part), entry["part_size"]
        return Shard(path=part, url=url, format="jsonl", size=size, version="")


def shard_tables(shard: Shard, columns: pa.Schema) -> Iterator[tuple[pa.Table, int]]:
    """Columns of the good rows of a file, a batch at a time, and how many rows were not good.

    Raises InputError where the file is damaged.
    """
    module: Format = plugins.load("labelmill.formats", shard.format)
    request = ReadRequest(rule=json_columns.RULE, fields={}, kept=columns)
    for split in module.read(shard, request):
        if split.breaks:
            raise InputError(f"{shard.url!r} is damaged: {split.breaks[0].reason}")
        good = split.rows.good
        table = pa.table(dict(split.rows.kept), schema=columns).filter(good)
        yield json_columns.spelled(table), len(split.rows) - len(table)


def _as_lines(field: pa.Field) -> pa.Field:
    """The column as JSON Lines are read; JSON text is any value there, uint64 more than int64."""
    if is_json_text(field) or is_extra(field) or pt.is_uint64(field.type):
        return json_text(field.name)
    return pa.field(field.name, json_type(field.type))


def json_type(kind: pa.DataType) -> pa.DataType:
    """The type as JSON Lines are read: int64, float64, lists of any length; the rest is text."""
    if pt.is_integer(kind):
        return pa.int64()
    if pt.is_floating(kind):
        return pa.float64()
    if pt.is_struct(kind):
        return pa.struct([(child.name, json_type(child.type)) for child in kind.fields])
    if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        return pa.list_(json_type(kind.value_type))
    return kind if pt.is_boolean(kind) or pt.is_null(kind) else pa.string()


def no_column(column: str, there: Sequence[str]) -> str:
    """What is to be said of a column that is not there, with the near miss."""
    near = nearest(column, there)
    listed = ", ".join(map(repr, there[:20])) or "none"
    return f"no column {column!r}; " + (
        f"did you mean {near[0]!r}?" if near else f"there are {listed}"
    )


def reach(table: pa.Table, column: str) -> pa.Array:
    """A column as one array; dots reach into structs."""
    if column in table.column_names:
        return _whole(table[column])
    root, *path = column.split(".")
    found = _whole(table[root])
    for name in path:
        if not pt.is_struct(found.type) or found.type.get_field_index(name) < 0:
            raise ConfigError(f"no column {column!r}: {root!r} is of type {table[root].type}")
        found = pc.struct_field(found, name)
    return found


def _whole(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # of no chunks, or too large for one
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    if pt.is_fixed_size_list(array.type):
        return array.cast(pa.list_(array.type.value_type))
    return array.dictionary_decode() if pt.is_dictionary(array.type) else array


def _lost(entry: Entry, why: str) -> str:
    return f"part {entry['part']!r} is not what its receipt says: {why}; run `labelmill verify`"
