"""Sizes of rows: how many bytes the values of each row take in memory.

A size is a function of the values and their types alone: the same whatever chunks, slices,
dictionaries or views hold them, so that a cut by bytes falls on the same row everywhere. Only
values count: no offsets, no validity bits; a null counts nothing, a boolean one byte.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from labelmill.ops.arrow_types import is_list, is_view

Counts = npt.NDArray[np.int64]


def row_sizes(data: pa.Array | pa.ChunkedArray | pa.RecordBatch | pa.Table) -> Counts:
    """[rows] int64: bytes of each row's values, over all columns of a table.

    IndexError: a dictionary code points outside its dictionary, which Arrow itself never checks.
    """
    if isinstance(data, pa.RecordBatch | pa.Table):
        return sum((row_sizes(column) for column in data.columns), np.zeros(len(data), np.int64))
    if isinstance(data, pa.ChunkedArray):
        return np.concatenate([np.zeros(0, np.int64), *(row_sizes(chunk) for chunk in data.chunks)])
    return leaf_sums(data, _leaf_sizes)


def leaf_sums(array: pa.Array, leaf: Callable[[pa.Array], Counts]) -> Counts:
    """[rows] int64: what `leaf` gives for each value without children, summed over each row.

    Values below a null list or struct are not counted, whatever lies under it.
    """
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return leaf_sums(array.storage, leaf)
    if pt.is_dictionary(kind):
        return _of_dictionary(array, leaf)
    if pt.is_struct(kind):
        zero = np.zeros(len(array), np.int64)
        return sum((leaf_sums(child, leaf) for child in array.flatten()), zero)
    if pt.is_map(kind):
        entries = pa.struct([("key", kind.key_type), ("value", kind.item_type)])
        return _of_lists(array.cast(pa.list_(entries)), leaf)
    if is_list(kind):
        return _of_lists(array, leaf)
    return leaf(array)


def _of_dictionary(array: pa.DictionaryArray, leaf: Callable[[pa.Array], Counts]) -> Counts:
    """Each row as large as the value that it points to."""
    codes, valid = _numpy(array.indices), _valid(array.indices)
    outside = (codes < 0) | (codes >= len(array.dictionary))
    if np.any(outside & (valid > 0)):
        raise IndexError("a code points outside its dictionary")
    sums = np.append(leaf_sums(array.dictionary, leaf), 0)
    return sums[np.where(valid, codes, -1)]


def _of_lists(array: pa.Array, leaf: Callable[[pa.Array], Counts]) -> Counts:
    """Sums over runs of the children; flattening drops what lies under nulls and slices."""
    stops = np.cumsum(_numpy(pc.list_value_length(array)), dtype=np.int64)
    running = np.concatenate([[0], np.cumsum(leaf_sums(array.flatten(), leaf), dtype=np.int64)])
    sums: Counts = np.diff(running[np.concatenate([[0], stops])])
    return sums


def _leaf_sizes(array: pa.Array) -> Counts:
    kind = array.type
    if is_view(kind):
        array = array.cast(pa.large_binary())
    if pt.is_null(kind):
        return np.zeros(len(array), np.int64)
    if pt.is_boolean(kind) or pt.is_primitive(kind) or pt.is_decimal(kind):
        width: int = max(kind.bit_width // 8, 1)
        return _valid(array) * width
    return _numpy(pc.binary_length(array))


def _valid(array: pa.Array) -> Counts:
    """One where there is a value, zero where there is null."""
    ones: Counts = array.is_valid().to_numpy(zero_copy_only=False).astype(np.int64)
    return ones


def _numpy(array: pa.Array) -> Counts:
    """Integers, nulls as zeros."""
    filled: Counts = array.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return filled
