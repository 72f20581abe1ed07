"""Table fields: a task's field of any kind found in a table of any columns.

`ops.fields` says what the kinds are. JSON is taken from lists, structs and numbers, and from
strings, which are taken for JSON text already, also where the column's type says so. Media are
bytes, a path or URL, or a struct of both as `datasets` writes it; where a struct has bytes, they
count.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from labelmill.ops.arrow_types import is_binary, is_list, is_string, plain
from labelmill.ops.fields import MEDIA, Kind
from labelmill.ops.json_cells import cells
from labelmill.ops.text_fields import Checked, find, is_text, text_field


def table_field(table: pa.Table, field: str, path: str, kind: Kind, *, required: bool) -> Checked:
    """The column at `path` (dots reach into structs) as the task's `field` of this kind."""
    column = find(table, path)
    if kind == "text" or column is None or pt.is_null(plain(column.type)):
        checked = text_field(table, field, path, required=required)
        return _media_of(checked) if kind == "media" else checked
    if kind == "media":
        return _media(column, field, path, required=required)
    if not is_text(column.type):
        column = _json(column)
    return text_field(pa.table({path: column}), field, path, required=required)


def _json(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """JSON text; of decimals, dates and times, which JSON writes as strings, what those say."""
    field, kind = pa.field("value", column.type), plain(column.type)
    told = cells(column, field)
    if pt.is_decimal(kind) or pt.is_temporal(kind):
        told = (cell.strip('"') for cell in told)
    texts = pa.array(list(told), pa.large_string())
    valid = pc.is_valid(column).combine_chunks()
    return pa.chunked_array([pc.if_else(valid, texts, pa.scalar(None, pa.large_string()))])


def _media_of(absent: Checked) -> Checked:
    nothing = pa.chunked_array([pa.nulls(len(absent.values), MEDIA)])
    return Checked(values=nothing, error=absent.error, text=absent.text)


def _media(column: pa.ChunkedArray, field: str, path: str, *, required: bool) -> Checked:
    found = _contents_and_paths(column)
    rows = len(column)
    nothing = pa.nulls(rows, pa.string())
    if found is None:
        reason = (
            f"field {field!r}: column {path!r} is {column.type}, expected bytes, a path, or a "
            "struct of bytes and path"
        )
        values, bad = pa.nulls(rows, MEDIA), np.ones(rows, np.bool_)
        return _checked(values, bad, reason, nothing)
    contents, paths = found
    empty = pc.and_(pc.is_null(contents), pc.is_null(paths))
    values = pa.StructArray.from_arrays([contents, paths], fields=list(MEDIA), mask=empty)
    bad = empty.to_numpy(zero_copy_only=False) if required else np.zeros(rows, np.bool_)
    return _checked(values, bad, f"field {field!r} is null", paths.cast(pa.string()))


def _contents_and_paths(column: pa.ChunkedArray) -> tuple[pa.Array, pa.Array] | None:
    """[rows] large_binary and large_string; None for a column that is no media."""
    array, kind = column.cast(plain(column.type)).combine_chunks(), plain(column.type)
    no_bytes = pa.nulls(len(array), pa.large_binary())
    no_path = pa.nulls(len(array), pa.large_string())
    if is_binary(kind) and not pt.is_fixed_size_binary(kind):
        return array.cast(pa.large_binary()), no_path
    if is_string(kind):
        return no_bytes, array.cast(pa.large_string())
    if not pt.is_struct(kind) or is_list(kind):
        return None
    inner = {child.name: child.type for child in kind.fields}
    if not {"bytes", "path"} & inner.keys():
        return None
    if not all(map(_is_media_part, (inner.get("bytes"), inner.get("path")))):
        return None
    contents, paths = no_bytes, no_path
    if "bytes" in inner:
        contents = pc.struct_field(array, "bytes").cast(pa.large_binary())
    if "path" in inner:
        paths = pc.struct_field(array, "path").cast(pa.large_string())
    return contents, paths


def _is_media_part(kind: pa.DataType | None) -> bool:
    """Whether bytes, or a path, may be of this type; None is absent."""
    return kind is None or is_binary(kind) or is_string(kind) or bool(pt.is_null(kind))


def _checked(
    values: pa.Array,
    bad: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
    reason: str,
    shown: pa.Array,
) -> Checked:
    mask = pa.array(bad)
    none = pa.scalar(None, pa.string())
    return Checked(
        values=pa.chunked_array([values]),
        error=pa.chunked_array([pc.if_else(mask, pa.scalar(reason), none)]),
        text=pa.chunked_array([pc.if_else(mask, shown, none)]),
    )
