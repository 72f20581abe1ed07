"""Parquet: row ranges of a shard in, whole Parquet files out.

Reading goes front to back through the columns that are needed, a row group at a time, each byte
once. Memory is bounded by the split, by a buffer for each column, and by the largest page of each
column: the page is what Parquet compresses as one piece (1 MiB from pyarrow, up to 100 MB from
DuckDB), however large the row group is.

What the decoder refuses becomes a Break; what the disk or network refuses is a StorageError of the
file and passes through. Pages written with checksums are verified. In pages without, a flipped
byte is found only where it upsets the decoder or leaves a string that is not UTF-8.
"""

from collections.abc import Iterator, Mapping
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from labelmill.errors import InputError
from labelmill.formats import Inspection, ReadRequest, SplitRows
from labelmill.ops import class_labels, schemas
from labelmill.ops.arrow_types import has_codes
from labelmill.ops.cutting import Cut, Cutter
from labelmill.ops.row_sizes import row_sizes
from labelmill.ops.table_rows import roots, table_rows
from labelmill.splits import Break, Shard, Split
from labelmill.storage import open_file

SUFFIXES = (".parquet", ".parq", ".pq")

_BATCH_BYTES = 4 << 20  # decompressed, by the row group's own average
_BATCH_ROWS = 256  # so that a run of documents far above that average stays small
_BUFFER_BYTES = 8 << 20  # one ranged read
_BUFFERS_BYTES = 128 << 20  # all columns together
_GROUP_ROWS = 1 << 16

# The decoder's verdict on damaged bytes; a MemoryError, for one, is not.
_REFUSED = (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError)


def inspect(shard: Shard) -> Inspection:
    """Schema and rows from the footer alone; raises InputError where it cannot be read."""
    with open_file(shard.url) as file:
        try:
            parquet = pq.ParquetFile(file)
            schema = parquet.schema_arrow
        except _REFUSED as error:
            raise InputError(_unopened(shard, error)) from error
    return Inspection(
        schema=schema.remove_metadata(),
        rows=parquet.metadata.num_rows,
        whole=True,
        names=class_labels.names_of(schema),
    )


def count(shard: Shard) -> int:
    """Rows by the footer; raises InputError where it cannot be read."""
    rows = inspect(shard).rows
    return 0 if rows is None else rows


def part_rows(data: bytes) -> int:
    """Rows of a part by its footer; raises InputError where it cannot be read."""
    try:
        rows: int = pq.read_metadata(pa.BufferReader(data)).num_rows
    except _REFUSED as error:
        raise InputError(f"a part is no Parquet file: {error}; remove it and resume") from error
    return rows


def write(
    table: pa.Table, provenance: Mapping[str, str], line: pa.ChunkedArray | None = None
) -> bytes:
    """A Parquet file: a function of the values alone, however they are chunked.

    Provenance becomes key-value metadata of the footer, "labelmill.<key>". Column types are written
    plain (no views, no dictionaries). `line` is for JSON Lines and ignored. Raises InputError for
    a type that Parquet has no form for.
    """
    del line
    facts = {f"labelmill.{key}": value for key, value in sorted(provenance.items())}
    plain = schemas.cast(table, schemas.plain_schema(table.schema), source="a part")
    sink = pa.BufferOutputStream()
    with _writer(sink, plain.schema.with_metadata(facts)) as writer:
        if len(plain):  # `datasets` refuses a file whose first row group is empty
            whole = plain.combine_chunks().replace_schema_metadata(facts)
            writer.write_table(whole, row_group_size=_GROUP_ROWS)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _writer(sink: pa.BufferOutputStream, schema: pa.Schema) -> pq.ParquetWriter:
    try:
        return pq.ParquetWriter(sink, schema, compression="zstd", write_page_checksum=True)
    except pa.ArrowNotImplementedError as error:
        raise InputError(
            f"Parquet has no form for one of the columns ({error}); leave it out of source.keep"
        ) from error


def read(shard: Shard, request: ReadRequest) -> Iterator[SplitRows]:
    """The splits of a shard that are not done, front to back.

    Fields come as `ops.fields` says, kept columns with the types of `request.kept`. InputError
    where the shard is not the one that was planned: another type in a kept column, fewer rows than
    are done.
    """
    with open_file(shard.url) as file:
        try:
            columns = _Columns(file, roots(request))
        except _REFUSED as error:
            yield _unreadable(shard, request, error)
            return
        schemas.refuse_twins(f"shard {shard.path!r}", columns.schema)
        cutter = Cutter(shard.path, request.rule, request.done, columns.schema)
        for cut in columns.cuts(cutter):
            yield _split_rows(cut, shard, request)


class _Refusal(Exception):  # noqa: N818 - the decoder's, never leaves this module
    """The decoder gave a row group up."""


class _Columns:
    """The needed columns of one open shard, decoded front to back."""

    def __init__(self, file: BinaryIO, wanted: frozenset[str]) -> None:
        footer = pq.ParquetFile(file)
        names = [name for name in footer.schema_arrow.names if name in wanted]
        self.schema = pa.schema([field for field in footer.schema_arrow if field.name in wanted])
        self._names = sorted(set(names), key=names.index)
        self._coded = [field.name for field in self.schema if has_codes(field.type)]
        self._metadata = footer.metadata
        buffers = max(_leaves(footer, wanted), 1)
        self._parquet = pq.ParquetFile(
            file,
            metadata=footer.metadata,
            buffer_size=min(_BUFFER_BYTES, _BUFFERS_BYTES // buffers),
            pre_buffer=False,
            page_checksum_verification=True,
        )

    def cuts(self, cutter: Cutter) -> Iterator[Cut]:
        """All that the cutter makes of the rows it wants; other row groups are not touched."""
        first = 0
        for group in range(self._metadata.num_row_groups):
            stop = first + self._metadata.row_group(group).num_rows
            if _wants(cutter, stop):
                yield from self._feed(cutter, group, first, stop)
            first = stop
        yield from cutter.end()

    def _feed(self, cutter: Cutter, group: int, first: int, stop: int) -> Iterator[Cut]:
        """The row group [first, stop) as far as it is wanted, or can be decoded."""
        reason = "the row group ends too early"
        for size in self._batch_sizes(group):
            position = first
            try:
                for batch in self._batches(group, size):
                    yield from cutter.feed(position, batch)
                    position += len(batch)
                    if not _wants(cutter, stop):
                        return
            except _Refusal as refusal:
                reason = str(refusal)
        if (wanted := cutter.wanted) is not None:
            yield from cutter.skip(Break(start=wanted, stop=stop, reason=reason))

    def _batches(self, group: int, size: int) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._parquet.iter_batches(size, [group], self._names, use_threads=False):
                batch.validate()
                row_sizes(batch.select(self._coded))  # pyarrow takes any code, and crashes later
                yield batch.select(self._names) if batch.schema.names != self._names else batch
        except (*_REFUSED, IndexError) as error:
            raise _Refusal(_words(error)) from error

    def _batch_sizes(self, group: int) -> list[int]:
        """Rows a batch: as many as are good for memory; then, to get close to damage, fewer."""
        row_group = self._metadata.row_group(group)
        # Of all columns: asking for one column's size aborts the process where the footer is
        # inconsistent (pyarrow 26: an exception of C++ that nobody catches).
        rows = _BATCH_BYTES * row_group.num_rows // max(row_group.total_byte_size, 1)
        usual = min(max(rows, 1), _BATCH_ROWS)
        return [usual, *(fewer for fewer in (16, 1) if fewer < usual)]


def _wants(cutter: Cutter, stop: int) -> bool:
    """Whether rows before `stop` are still to come."""
    return cutter.wanted is not None and cutter.wanted < stop


def _leaves(footer: pq.ParquetFile, wanted: frozenset[str]) -> int:
    """How many column chunks of each row group will be read, one beside the other."""
    paths = [footer.schema.column(leaf).path for leaf in range(footer.metadata.num_columns)]
    starts = tuple(f"{root}." for root in wanted)
    return sum(f"{path}.".startswith(starts) for path in paths)


def _split_rows(cut: Cut, shard: Shard, request: ReadRequest) -> SplitRows:
    split = cut.split
    places = range(split.start, split.stop)
    rows = table_rows(cut.table, places, request, source=f"shard {shard.path!r}")
    return SplitRows(split=split, rows=rows, breaks=cut.breaks)


def _unreadable(shard: Shard, request: ReadRequest, error: Exception) -> SplitRows:
    """A shard without rows, and a break that has all of it."""
    if request.done:
        raise InputError(f"{_unopened(shard, error)}; it was when the run began") from error
    split = Split(shard=shard.path, index=0, start=0, stop=0, last=True)
    whole = Break(start=0, stop=None, reason=_words(error))
    return _split_rows(Cut(split=split, table=pa.table({}), breaks=(whole,)), shard, request)


def _unopened(shard: Shard, error: Exception) -> str:
    return f"shard {shard.path!r} cannot be opened as Parquet: {_words(error)}"


def _words(error: Exception) -> str:
    return " ".join(str(error).split())
