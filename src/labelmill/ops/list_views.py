"""List views as lists, at any depth: the same values in the layout that every kernel takes.

pyarrow's own cast of a list view leaves out the last offset (26.0: the array is not valid, and its
last list reads as empty). It can take over once that is mended.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt


def holds_list_view(kind: pa.DataType) -> bool:
    """A list view at any depth."""
    if pt.is_list_view(kind) or pt.is_large_list_view(kind):
        return True
    return any(holds_list_view(kind.field(place).type) for place in range(kind.num_fields))


def without_list_views(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column with large lists for lists of all layouts where it holds a view, else itself."""
    if not holds_list_view(column.type):
        return column
    return pa.chunked_array(list(map(_rebuilt, column.chunks or [pa.nulls(0, column.type)])))


def _rebuilt(array: pa.Array) -> pa.Array:
    kind = array.type
    if not holds_list_view(kind):
        return array
    if pt.is_struct(kind):
        inner = [_rebuilt(array.field(place)) for place in range(kind.num_fields)]
        fields = [child.with_type(one.type) for child, one in zip(kind.fields, inner, strict=True)]
        return pa.StructArray.from_arrays(inner, fields=fields, mask=array.is_null())
    if pt.is_map(kind):
        offsets = pa.array(array.offsets.to_numpy())  # of a slice too, which the next line refuses
        items = _rebuilt(array.items)
        return pa.MapArray.from_arrays(offsets, array.keys, items, mask=array.is_null())
    lengths = pc.list_value_length(array).fill_null(0).to_numpy()
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))
    # Flattening leaves out what null hides, and puts views in their order.
    return pa.LargeListArray.from_arrays(offsets, _rebuilt(array.flatten()), mask=array.is_null())
