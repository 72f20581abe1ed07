"""UTF-8 of Arrow strings: which rows hold bytes that are none, and what can be read of them.

Parquet writers do not check, and Arrow readers trust them. An invalid string breaks whoever decodes
it, often several steps later, so it is looked for where rows come in.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from labelmill.ops.arrow_types import is_string, is_view
from labelmill.ops.row_sizes import leaf_sums

Mask = npt.NDArray[np.bool_]


def invalid_utf8(column: pa.ChunkedArray) -> Mask:
    """[rows] bool: the row holds a string, at any depth, that is not UTF-8.

    One vectorized check a chunk; values are looked at one by one only where it fails.
    """
    return np.concatenate([np.zeros(0, np.bool_), *(_invalid(chunk) for chunk in column.chunks)])


def readable(column: pa.ChunkedArray, limit: int) -> pa.ChunkedArray:
    """The first `limit` characters of strings or bytes, as string; U+FFFD for what is not UTF-8."""
    values = (value for chunk in column.chunks for value in _raw(chunk).to_pylist())
    return pa.chunked_array([pa.array([_decoded(each, limit) for each in values], pa.string())])


def _invalid(array: pa.Array) -> Mask:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return leaf_sums(array, _bad_leaves) > 0
    return np.zeros(len(array), np.bool_)


def _bad_leaves(array: pa.Array) -> npt.NDArray[np.int64]:
    if not is_string(array.type):
        return np.zeros(len(array), np.int64)
    return np.array([not _decodes(value) for value in _raw(array).to_pylist()], np.int64)


def _raw(array: pa.Array) -> pa.Array:
    """The same bytes, not called strings."""
    if isinstance(array.type, pa.BaseExtensionType):
        return _raw(array.storage)
    if pt.is_dictionary(array.type):
        return _raw(array.dictionary).take(array.indices)
    return array.cast(pa.binary_view() if is_view(array.type) else pa.large_binary())


def _decodes(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _decoded(value: bytes | None, limit: int) -> str | None:
    if value is None:
        return None
    return value[: 4 * limit].decode(errors="replace")[:limit]
