"""Rows of JSON lines: the task's fields, the kept columns, and what is wrong with a line.

A plan says what is wanted; `RowParser` makes one table of a run of lines. Where Arrow's parser
and the exact one could differ, the exact one decides, so the result is the same whichever path
a line takes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from labelmill.ops import json_bulk
from labelmill.ops.fields import MEDIA, Kind
from labelmill.ops.json_bulk_schema import BulkSchema
from labelmill.ops.json_fields import field_values
from labelmill.ops.json_fitting import Fitter
from labelmill.ops.json_lines import MAX_LINE, Lines
from labelmill.ops.json_types import is_extra
from labelmill.ops.json_values import BadLine, Document, decode
from labelmill.splits import FIELD, KEPT, TEXT

LINE = "line"  # the kept column that carries a whole line
SHOWN = 1000  # characters of a bad line that are kept to show
_FEW = 64  # lines that are not worth another try in bulk
_PARTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPlan:
    """What is wanted of each line; the words are those of `formats.ReadRequest`."""

    fields: Mapping[str, str]
    optional: frozenset[str] = frozenset()
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    kept: pa.Schema = field(default_factory=lambda: pa.schema([]))
    raw: bool = False
    reserved: frozenset[str] = frozenset()


class RowParser:
    """Makes tables of lines, laid out as `Rows.to_table` does.

    With raw lines the kept column is `line`: the bytes of the line without its end, null where
    the line is no object or has a reserved field, so that nothing can be added to it.
    """

    def __init__(self, plan: RowPlan) -> None:
        self._plan = plan
        self._kept = pa.schema([(LINE, pa.large_binary())]) if plan.raw else plan.kept
        self._fitter = None if plan.raw else Fitter(plan.kept)
        # Arrow's parser wants one type a field, and fields that are no text may have any.
        self._bulk = (
            None
            if plan.kinds
            else BulkSchema.of(plan.fields, pa.schema([]) if plan.raw else plan.kept, plan.optional)
        )
        self._suspects = () if self._bulk is None else self._bulk.suspects
        if plan.raw:
            self._suspects += tuple(sorted(plan.reserved))
        self.schema = pa.schema(
            [
                pa.field("position", pa.int64()),
                pa.field("error", pa.string()),
                pa.field(TEXT, pa.string()),
                *(pa.field(FIELD + name, _type(plan.kinds.get(name))) for name in plan.fields),
                *(item.with_name(KEPT + item.name) for item in self._kept),
            ]
        )

    def parse(self, lines: Lines) -> pa.Table:
        """One row for each line that is not blank."""
        if not lines.filled.any():
            return self.schema.empty_table()
        table = self._in_bulk(lines)
        if table is not None:
            return table
        if len(lines) <= _FEW or self._bulk is None:
            return self._one_by_one(lines)
        size = -(-len(lines) // _PARTS)
        parts = (lines[at : at + size] for at in range(0, len(lines), size))
        return pa.concat_tables([self.parse(part) for part in parts])

    def _in_bulk(self, lines: Lines) -> pa.Table | None:
        bulk = self._bulk
        if bulk is None or json_bulk.mentions(lines, self._suspects):
            return None
        found = json_bulk.parse(lines, bulk.schema, closed=bulk.closed)
        if found is None:
            return None
        nothing = pa.chunked_array([pa.nulls(found.num_rows, pa.string())])
        fields = [
            json_bulk.at_path(found, bulk.paths[name]) if name in bulk.paths else nothing
            for name in self._plan.fields
        ]
        required = (name not in self._plan.optional for name in self._plan.fields)
        if any(must and column.null_count for must, column in zip(required, fields, strict=True)):
            return None
        return self._table(lines, fields, self._kept_in_bulk(lines, found))

    def _kept_in_bulk(self, lines: Lines, found: pa.Table) -> list[pa.Array | pa.ChunkedArray]:
        if self._plan.raw:
            return [pa.array(lines.texts(), pa.large_binary())]
        rows = found.num_rows
        return [
            pa.nulls(rows, item.type) if is_extra(item) else found[item.name] for item in self._kept
        ]

    def _table(
        self,
        lines: Lines,
        fields: list[pa.ChunkedArray],
        kept: list[pa.Array | pa.ChunkedArray],
    ) -> pa.Table:
        position = pa.array(lines.begins[lines.filled])
        nothing = pa.nulls(len(position), pa.string())
        return pa.Table.from_arrays(
            [position, nothing, nothing, *fields, *kept], schema=self.schema
        )

    def _one_by_one(self, lines: Lines) -> pa.Table:
        if lines.too_long:
            size = int(lines.stops[0]) - lines.start
            why = BadLine(reason=f"a line of {size} bytes, more than {MAX_LINE}")
            rows = [self._bad(int(lines.begins[0]), why, lines.data)]
        else:
            positions = lines.begins[lines.filled].tolist()
            rows = [self._row(*row) for row in zip(positions, lines.texts(), strict=True)]
        columns = zip(*rows, strict=True)
        arrays = [
            pa.array(cells, item.type) for cells, item in zip(columns, self.schema, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def _row(self, position: int, line: bytes) -> list[object]:
        """One cell a column; of a bad line also what can be kept of it."""
        document = decode(line)
        if isinstance(document, Document):
            document = self._taken(document) or document
        if isinstance(document, BadLine):
            return self._bad(position, document, line)
        fields = field_values(
            document.value, self._plan.fields, self._plan.optional, self._plan.kinds
        )
        kept = [line] if self._fitter is None else self._fitter.fit(document)
        if isinstance(fields, BadLine):
            return self._bad(position, fields, line, None if isinstance(kept, BadLine) else kept)
        if isinstance(kept, BadLine):
            return self._bad(position, kept, line)
        return [position, None, None, *fields, *kept]

    def _bad(
        self, position: int, why: BadLine, line: bytes, kept: Sequence[object] | None = None
    ) -> list[object]:
        text = line[: 4 * SHOWN].decode(errors="replace")[:SHOWN]
        nothing = [None] * len(self._plan.fields)
        return [position, why.reason, text, *nothing, *(kept or [None] * len(self._kept))]

    def _taken(self, document: Document) -> BadLine | None:
        """With raw lines: the verdict on one that has a field of the output's already."""
        if not self._plan.raw or self._plan.reserved.isdisjoint(document.value):
            return None
        name = min(self._plan.reserved & document.value.keys())
        return BadLine(reason=f"the line already has a field {name!r}; set output.prefix")


def _type(kind: Kind | None) -> pa.DataType:
    return MEDIA if kind == "media" else pa.string()
