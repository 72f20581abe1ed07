"""Text fields: a task's field found in a table of any columns, with a verdict on each row.

What the field needs is a string that is valid UTF-8. A row without one keeps its place, with a
null, the reason, and the beginning of what stood there. Nothing here knows a file or a task.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from labelmill.ops.arrow_types import is_binary, is_string, plain
from labelmill.ops.utf8 import Mask, invalid_utf8, readable

TEXT_LIMIT = 1000  # characters of a bad row that are shown to people


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A column after the check, all of one length; `error` and `text` are null in good rows."""

    values: pa.ChunkedArray  # null where the row is bad
    error: pa.ChunkedArray  # string: the reason
    text: pa.ChunkedArray  # string: what stood there, its first TEXT_LIMIT characters; may be null


def text_field(table: pa.Table, field: str, path: str, *, required: bool) -> Checked:
    """The string column at `path` (dots reach into structs) as the task's `field`, large_string."""
    column = find(table, path)
    if column is None:
        absent = pa.chunked_array([pa.nulls(len(table), pa.large_string())])
        reason = f"field {field!r}: no column {path!r} in this shard"
        return _blamed(absent, np.full(len(table), required), reason)
    if is_text(column.type):
        checked = _without_invalid(column, f"field {field!r}: invalid UTF-8 in column {path!r}")
    else:
        checked = _mistyped(column, f"field {field!r}: column {path!r} is {column.type}")
    values = checked.values.cast(pa.large_string())
    error = checked.error
    if required:
        missing = _mask(pc.is_null(column))
        error = pc.coalesce(error, _reasons(missing, f"field {field!r} is null"))
    return Checked(values=values, error=error, text=checked.text)


def kept_column(column: pa.ChunkedArray, name: str) -> Checked:
    """A column carried to the output as it is, if every string in it, at any depth, is UTF-8."""
    return _without_invalid(column, f"column {name!r}: invalid UTF-8")


def find(table: pa.Table, path: str) -> pa.ChunkedArray | None:
    """The column at `path`; a name that has the dot in it goes before a struct of that name."""
    parts = path.split(".")
    for size in range(len(parts), 0, -1):
        head, rest = ".".join(parts[:size]), ".".join(parts[size:])
        if head in table.column_names:
            found = _below(table[head], rest) if rest else table[head]
            if found is not None:
                return found
    return None


def _below(column: pa.ChunkedArray, path: str) -> pa.ChunkedArray | None:
    """A field of a struct column, found as `find` does it; null where the struct is."""
    if not pt.is_struct(column.type):
        return None
    names = [child.name for child in column.type.fields]
    if len(set(names)) < len(names):
        return None
    children = [pc.struct_field(column, place) for place in range(len(names))]
    return find(pa.table(children, names), path)


def is_text(kind: pa.DataType) -> bool:
    """Strings of every layout, also behind another name, such as JSON; and nothing but nulls."""
    kind = plain(kind)
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return is_string(kind) or bool(pt.is_null(kind))


def _without_invalid(column: pa.ChunkedArray, reason: str) -> Checked:
    bad = invalid_utf8(column)
    if not bad.any():
        return _blamed(column, bad, reason)
    column = column.cast(plain(column.type))  # Arrow has neither `take` nor `filter` for views
    values = column.take(pa.array(np.arange(len(column)), mask=bad))
    return _blamed(values, bad, reason, shown=_shown(column, bad))


def _mistyped(column: pa.ChunkedArray, finding: str) -> Checked:
    bad = _mask(pc.is_valid(column))
    values = pa.chunked_array([pa.nulls(len(column), pa.large_string())])
    return _blamed(values, bad, f"{finding}, expected a string", shown=_shown(column, bad))


def _blamed(
    values: pa.ChunkedArray, bad: Mask, reason: str, shown: pa.ChunkedArray | None = None
) -> Checked:
    nothing = pa.chunked_array([pa.nulls(len(values), pa.string())])
    text = nothing if shown is None else shown
    return Checked(values=values, error=_reasons(bad, reason), text=text)


def _shown(column: pa.ChunkedArray, bad: Mask) -> pa.ChunkedArray:
    """The beginning of each bad value as text; null in good rows, and for nested values."""
    if pt.is_nested(plain(column.type)):  # Arrow cannot filter all of them
        return pa.chunked_array([pa.nulls(len(column), pa.string())])
    places = pa.array(np.cumsum(bad) - 1, mask=~bad)
    return _text(column.filter(pa.array(bad))).take(places)


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = plain(column.type)
    if is_binary(kind) or is_text(kind):
        return readable(column, TEXT_LIMIT)
    if any(test(kind) for test in _PRINTED):
        return column.cast(pa.string())
    return pa.chunked_array([pa.nulls(len(column), pa.string())])


_PRINTED: tuple[Callable[[pa.DataType], bool], ...] = (
    pt.is_boolean, pt.is_integer, pt.is_floating, pt.is_decimal, pt.is_temporal,
)  # fmt: skip


def _reasons(bad: Mask, reason: str) -> pa.ChunkedArray:
    reasons = pc.if_else(pa.array(bad), pa.scalar(reason), pa.scalar(None, pa.string()))
    return pa.chunked_array([reasons])


def _mask(column: pa.ChunkedArray) -> Mask:
    mask: Mask = column.to_numpy()
    return mask
