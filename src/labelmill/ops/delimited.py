"""Shards of delimited text (CSV, TSV): rows under a header, cut into splits by bytes and rows.

Every cell is a string as it stands, `00123` and the empty one too; null does not exist. A bad
record keeps its place, with the reason and the beginning of what stood there.
"""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from labelmill.errors import InputError
from labelmill.ops import schemas
from labelmill.ops.csv_records import BadRecord, RecordReader, Records
from labelmill.ops.decompression import Stream
from labelmill.ops.line_splits import cut
from labelmill.ops.table_rows import Wanted, roots, table_rows
from labelmill.ops.text_fields import TEXT_LIMIT
from labelmill.splits import Break, CutRule, Rows, Split

_OTHERS = {  # UTF-32 first: its little-endian mark begins with UTF-16's
    "the text is UTF-32, expected UTF-8": (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff"),
    "the text is UTF-16, expected UTF-8": (b"\xff\xfe", b"\xfe\xff"),
    "this is Parquet, not delimited text": (b"PAR1\x15",),
    "this is a ZIP archive (perhaps a spreadsheet), not delimited text": (b"PK\x03\x04",),
}
_Cut = tuple[Split, Rows, tuple[Break, ...]]


def columns(stream: Stream, delimiter: str, shard: str) -> pa.Schema:
    """The columns by the header, all string; none of an empty shard. InputError on damage."""
    names = _header(stream, RecordReader(stream, delimiter))
    if isinstance(names, str):
        raise InputError(f"{shard!r} cannot be read: {names}")
    return pa.schema([(name, pa.string()) for name in names])


def read(
    stream: Stream,
    delimiter: str,
    shard: str,
    rule: CutRule,
    done: Mapping[int, Split],
    wanted: Wanted,
) -> Iterator[_Cut]:
    """The splits of the shard that are not done, front to back; the header is in the first.

    A shard whose header cannot be read is one empty split and a break over everything; a stream
    that breaks off has its break with the last split, where that stops.
    """
    reader = RecordReader(stream, delimiter)
    names = _header(stream, reader)
    if isinstance(names, str):
        if 0 not in done:
            split = Split(shard=shard, index=0, start=0, stop=0, last=True)
            gap = Break(start=0, stop=None, reason=names)
            yield split, _Table((), shard, wanted).rows([]), (gap,)
        return
    table = _Table(names, shard, wanted)
    for split, parts in cut(reader, shard, rule, done, table.parse):
        yield split, table.rows(parts), _breaks(split, stream)


def count(stream: Stream, delimiter: str, shard: str) -> int:
    """Records under the header; raises InputError where damage is found."""
    reader, rows = RecordReader(stream, delimiter), 0
    names = _header(stream, reader)
    while not isinstance(names, str) and (found := reader.peek()) is not None:
        rows += int(reader.take(len(found)).filled.sum())
    reason = names if isinstance(names, str) else stream.damage and stream.damage.reason
    if reason:
        raise InputError(f"{shard!r} is damaged: {reason}")
    return rows


def _header(stream: Stream, reader: RecordReader) -> list[str] | str:
    """The names of the columns, or why they cannot be known."""
    if stream.damage is not None and stream.damage.total:
        return stream.damage.reason
    head = stream.peek(5)
    for reason, marks in _OTHERS.items():
        if head.startswith(marks):
            return reason
    names = reader.header()
    if isinstance(names, BadRecord):
        return f"the header: {names.reason}"
    if not names and stream.damage is not None:
        return stream.damage.reason
    return names


def _breaks(split: Split, stream: Stream) -> tuple[Break, ...]:
    if not split.last or stream.damage is None:
        return ()
    return (Break(start=split.stop, stop=None, reason=stream.damage.reason),)


class _Table:
    """Records under one header as Arrow tables of the columns that are wanted."""

    def __init__(self, names: Sequence[str], shard: str, wanted: Wanted) -> None:
        self._source, self._wanted = f"shard {shard!r}", wanted
        needed = roots(wanted)
        self._places = [place for place, name in enumerate(names) if name in needed]
        columns = [pa.field(names[place], pa.string()) for place in self._places]
        schemas.refuse_twins(self._source, pa.schema(columns))
        more = [("position", pa.int64()), ("error", pa.string()), ("text", pa.string())]
        self._columns = len(columns)
        self._schema = pa.schema([*columns, *(pa.field(*each) for each in more)])

    def parse(self, records: Records) -> pa.Table:
        """The wanted cells, null in bad rows; then place, reason, and what stood there."""
        begins = records.begins[records.filled].tolist()
        found = [cells for cells in records.cells if cells]
        columns = [
            [None if isinstance(cells, BadRecord) else cells[place] for cells in found]
            for place in self._places
        ]
        bad = [cells if isinstance(cells, BadRecord) else None for cells in found]
        reasons = [each and each.reason for each in bad]
        shown = [each and each.text.decode(errors="replace")[:TEXT_LIMIT] for each in bad]
        values = [*columns, begins, reasons, shown]
        arrays = [
            pa.array(each, kind) for each, kind in zip(values, self._schema.types, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=self._schema)

    def rows(self, parts: Sequence[pa.Table]) -> Rows:
        """The rows of one split."""
        table = pa.concat_tables([self._schema.empty_table(), *parts])
        position, error, text = table.columns[self._columns :]
        return table_rows(
            table.select(range(self._columns)),
            position,
            self._wanted,
            source=self._source,
            error=error,
            text=text,
        )
