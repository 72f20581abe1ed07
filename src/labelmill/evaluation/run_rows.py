"""Run rows: the columns that evaluation needs of every part that has a receipt, a batch at a time.

Parts are read one after another, and of a Parquet part only the columns asked for. A part that is
not what its receipt says is an error, never a gap.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from labelmill.config.nearness import nearest
from labelmill.errors import ConfigError, CorruptRun, InputError
from labelmill.formats import Format, ReadRequest
from labelmill.ledger.manifest import Manifest
from labelmill.ledger.receipt import Entry
from labelmill.ops import plugins
from labelmill.splits import CutRule, Shard
from labelmill.storage import FileMissing, Store, join

_ROWS = 1 << 16  # of a batch
_RULE = CutRule(split_rows=_ROWS, split_bytes=64 << 20)


class RunRows:
    """The output of a run as columns by name; dots reach into structs."""

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store, self._manifest = store, manifest
        self._kept: pa.Schema | None = None  # of JSON Lines, whose lines hold more than we planned
        self.misfits = 0  # rows with a value unlike the others of its column, read as null

    def batches(self, entry: Entry, columns: Sequence[str]) -> Iterator[pa.Table]:
        """The columns of one part; raises ConfigError for one that is not there, CorruptRun."""
        roots = tuple(dict.fromkeys(self._root(column) for column in columns))
        read = self._parquet if self._manifest.part_format == "parquet" else self._lines
        rows = 0
        try:
            for table in read(entry, roots):
                rows += len(table)
                yield pa.table({column: reach(table, column) for column in columns})
        except FileMissing as error:
            raise CorruptRun(_lost(entry, "it is not there")) from error
        except pa.ArrowInvalid as error:
            raise CorruptRun(_lost(entry, str(error))) from error
        if rows != entry["rows_written"]:
            raise CorruptRun(_lost(entry, f"it has {rows} rows, not {entry['rows_written']}"))

    def _root(self, column: str) -> str:
        """The column itself where there is one of that name, else the part before the dot."""
        return column if column in self._manifest.schema.names else column.partition(".")[0]

    def _parquet(self, entry: Entry, roots: Sequence[str]) -> Iterator[pa.Table]:
        require(roots, self._manifest.schema.names)
        with self._store.open(entry["part"]) as file:
            parquet = pq.ParquetFile(file)
            for batch in parquet.iter_batches(_ROWS, columns=list(roots)):
                yield pa.table(batch)

    def _lines(self, entry: Entry, roots: Sequence[str]) -> Iterator[pa.Table]:
        if not entry["rows_written"]:
            return
        shard = Shard(
            path=entry["part"],
            url=join(self._store.url, entry["part"]),
            format="jsonl",
            size=entry["part_size"],
            version="",
        )
        if self._kept is None:
            seen = plugins.load("labelmill.formats", "jsonl").inspect(shard).schema
            known = {field.name: field.type for field in [*seen, *self._manifest.schema]}
            require(roots, list(known))
            self._kept = pa.schema([(root, json_type(known[root])) for root in roots])
        for table, misfits in shard_tables(shard, self._kept):
            self.misfits += misfits
            yield table


def shard_tables(shard: Shard, columns: pa.Schema) -> Iterator[tuple[pa.Table, int]]:
    """Columns of a file of any format, a batch at a time, and how many of its rows do not fit.

    Raises InputError where the file is damaged.
    """
    module: Format = plugins.load("labelmill.formats", shard.format)
    request = ReadRequest(rule=_RULE, fields={}, kept=columns)
    for split in module.read(shard, request):
        if split.breaks:
            raise InputError(f"{shard.url!r} is damaged: {split.breaks[0].reason}")
        misfits = len(split.rows) - int(pc.sum(split.rows.good).as_py() or 0)
        yield pa.table(dict(split.rows.kept), schema=columns), misfits


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


def require(columns: Sequence[str], there: Sequence[str]) -> None:
    """Raise ConfigError for a column that is not there, with the near miss."""
    for column in columns:
        if column not in there:
            near = nearest(column, there)
            listed = ", ".join(map(repr, there[:20]))
            advice = f"did you mean {near[0]!r}?" if near else f"there are {listed}"
            raise ConfigError(
                f"no column {column!r}; {advice} (columns of the source are in the output where "
                "source.keep says so)"
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
    return array.dictionary_decode() if pt.is_dictionary(array.type) else array


def _lost(entry: Entry, why: str) -> str:
    return f"part {entry['part']!r} is not what its receipt says: {why}; run `labelmill verify`"
