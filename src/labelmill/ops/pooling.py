"""Pooling: the hidden states of sequences to one vector each, in float32, on numpy."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]

_SMALLEST = 1e-12  # a vector of zeros stays one


def pool(hidden: Floats, lengths: Counts, pooling: str, skip: int) -> Floats:
    """[batch, length, width] -> [batch, width], without padding and the first `skip` tokens.

    `lengths` [batch] counts the tokens without padding; `pooling` is cls, mean, max or last, as
    `readouts.Embedding` has it.
    """
    if pooling == "cls":
        return hidden[:, skip].copy()
    if pooling == "last":
        return hidden[np.arange(len(hidden)), lengths - 1]
    places = np.arange(hidden.shape[1])
    counted = (places < lengths[:, np.newaxis]) & (places >= skip)
    if pooling == "max":
        found: Floats = np.where(counted[..., np.newaxis], hidden, -np.inf).max(axis=1)
        return found.astype(np.float32)
    # A product of matrices: [batch, 1, length] x [batch, length, width], nothing in between. What
    # a model says of padding may be no number, which no weight of 0 would hide.
    kept = hidden if counted[:, skip:].all() else np.where(counted[..., np.newaxis], hidden, 0)
    sums = counted.astype(np.float32)[:, np.newaxis] @ kept.astype(np.float32, copy=False)
    mean: Floats = sums[:, 0] / counted.sum(axis=1, dtype=np.float32)[:, np.newaxis]
    return mean


def normalized(vectors: Floats) -> Floats:
    """[batch, width], each of length 1."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Floats = vectors / np.maximum(lengths, _SMALLEST)
    return found
