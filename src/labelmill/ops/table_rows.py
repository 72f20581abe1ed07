"""Rows of a split out of a table: the task's fields and the kept columns, with a verdict on each.

The table has the columns of its shard, as they are there. Nothing here knows a file or a task.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from labelmill.ops import schemas
from labelmill.ops.fields import Kind
from labelmill.ops.table_fields import table_field
from labelmill.ops.text_fields import Checked, kept_column
from labelmill.splits import Rows


class Wanted(Protocol):
    """What is asked of each row: `formats.ReadRequest`, as far as it is needed here."""

    @property
    def fields(self) -> Mapping[str, str]:
        """Task field -> column; dots reach into structs."""
        ...

    @property
    def optional(self) -> frozenset[str]:
        """Fields that may be null or missing."""
        ...

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Of the fields that are no text."""
        ...

    @property
    def kept(self) -> pa.Schema:
        """Columns to carry, with the run's types."""
        ...


def roots(wanted: Wanted) -> frozenset[str]:
    """Columns that may be needed: of a path with dots, every beginning."""
    paths = (path.split(".") for path in wanted.fields.values())
    begun = {".".join(parts[:size]) for parts in paths for size in range(1, len(parts) + 1)}
    return frozenset(begun | set(wanted.kept.names))


def table_rows(
    table: pa.Table,
    position: Sequence[int] | range | pa.ChunkedArray,
    wanted: Wanted,
    *,
    source: str,
    error: pa.ChunkedArray | None = None,
    text: pa.ChunkedArray | None = None,
) -> Rows:
    """The rows of `table`; `error` and `text` (string) are what the format knows against them.

    Raises InputError, naming `source`, for a kept column that is not of the run's type.
    """
    fields = {name: _field(table, name, wanted) for name in wanted.fields}
    kept = {
        name: kept_column(table[name], name)
        for name in wanted.kept.names
        if name in table.column_names
    }
    for name, checked in kept.items():
        table = table.set_column(table.column_names.index(name), name, checked.values)
    cast = schemas.cast(table, wanted.kept, source=source)
    verdicts = [*fields.values(), *kept.values()]
    size = len(position)
    return Rows(
        position=_places(position),
        error=_first([error, *(each.error for each in verdicts)], size),
        fields={name: checked.values for name, checked in fields.items()},
        kept={name: cast[name] for name in wanted.kept.names},
        text=_first([text, *(each.text for each in verdicts)], size),
    )


def _field(table: pa.Table, name: str, wanted: Wanted) -> Checked:
    kind = wanted.kinds.get(name, "text")
    required = name not in wanted.optional
    return table_field(table, name, wanted.fields[name], kind, required=required)


def _places(position: Sequence[int] | range | pa.ChunkedArray) -> pa.ChunkedArray:
    if isinstance(position, pa.ChunkedArray):
        return position
    return pa.chunked_array([pa.array(np.asarray(position, np.int64))])


def _first(columns: Sequence[pa.ChunkedArray | None], rows: int) -> pa.ChunkedArray:
    """In each row the first value that is not null; string."""
    nothing = pa.chunked_array([pa.nulls(rows, pa.string())])
    return pc.coalesce(*(column for column in columns if column is not None), nothing)
