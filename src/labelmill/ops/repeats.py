"""Repeats: sequences of one split that are the same to the model, of which it need see only one.

Two are the same where all their inputs are, byte by byte: token ids, token types, the seed that a
text is drawn with. Sequences with numbers that are no integers, which are pictures and sound, are
not compared: each is one of a kind.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from labelmill.batch import Array, Encoded

Places = npt.NDArray[np.int64]


def originals(encoded: Encoded) -> Places:
    """[sequences] the first sequence with the same inputs, which may be the sequence itself."""
    given = (*encoded.inputs.values(), *encoded.fixed.values())
    if not given or any(values.dtype.kind == "f" for values in given):
        return np.arange(len(encoded))
    codes = encoded.lengths.astype(np.int64)
    for values in encoded.inputs.values():
        codes = _refined(codes, values, encoded.offsets)
    for values in encoded.fixed.values():
        size = int(np.prod(values.shape[1:]))
        codes = _refined(codes, values.reshape(-1), np.arange(len(encoded) + 1) * size)
    _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    return first[codes]


def _refined(codes: Places, values: Array, offsets: Places) -> Places:
    """Codes that differ where the given ones do, or where the pieces of `values` do.

    Where sequences of unequal length have unequal codes already, one value everywhere tells nothing
    more.
    """
    if not len(values) or values.min() == values.max():
        return codes
    pieces = _numbered(values, offsets)
    both = codes * (int(pieces.max()) + 1) + pieces
    finer: Places = np.unique(both, return_inverse=True)[1]
    return finer


def _numbered(values: Array, offsets: Places) -> Places:
    """[sequences] equal numbers for equal pieces; Arrow compares them byte by byte."""
    data = np.ascontiguousarray(values)
    ends = np.ascontiguousarray(offsets * data.itemsize, dtype=np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(data)]
    cells = pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)
    numbers: Places = cells.dictionary_encode().indices.to_numpy().astype(np.int64)
    return numbers
