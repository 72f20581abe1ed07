"""Scores: logits to probabilities, and probabilities to Arrow columns of labels.

Everything is computed in float32. Equal scores are ordered by label id, so that the same logits
always give the same columns. Logits that are not finite give scores that are not finite, never an
error.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from labelmill.batch import Array

Scores = npt.NDArray[np.float32]  # [rows, labels]

SCORED = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float32())]))


def softmax(logits: Array) -> Scores:
    """Probabilities that sum to 1 along the last axis."""
    shifted = logits.astype(np.float32)
    shifted -= shifted.max(axis=-1, keepdims=True)
    exponents = np.exp(shifted)
    scores: Scores = exponents / exponents.sum(axis=-1, keepdims=True)
    return scores


def sigmoid(logits: Array) -> Scores:
    """Each probability by itself."""
    scores: Scores = np.exp(-np.logaddexp(np.float32(0), -logits.astype(np.float32)))
    return scores


def best(scores: Scores, labels: Sequence[str]) -> tuple[pa.Array, pa.Array]:
    """The label with the highest score (string) and that score (float32), one a row."""
    ids = scores.argmax(axis=1)
    values = scores[np.arange(len(scores)), ids]
    return _names(ids, labels), pa.array(values, pa.float32())


def at_least(
    scores: Scores, labels: Sequence[str], threshold: float | npt.NDArray[np.float32]
) -> tuple[pa.Array, pa.Array]:
    """Labels at or above the threshold (list<string>), their scores (list<float32>), best first.

    The threshold is one for all, or one for each label.
    """
    order, ordered = _descending(scores)
    lowest = np.broadcast_to(np.asarray(threshold, np.float32), len(labels))
    chosen = ordered >= lowest[order]
    offsets = _offsets(chosen.sum(axis=1))
    names = pa.ListArray.from_arrays(offsets, _names(order[chosen], labels))
    return names, pa.ListArray.from_arrays(offsets, pa.array(ordered[chosen], pa.float32()))


def ranked(scores: Scores, labels: Sequence[str], count: int) -> pa.ListArray:
    """The `count` best labels of each row with their scores, best first; the type is SCORED."""
    order, ordered = _descending(scores)
    kept = min(count, scores.shape[1])
    names = _names(order[:, :kept].ravel(), labels)
    values = pa.array(ordered[:, :kept].ravel(), pa.float32())
    structs = pa.StructArray.from_arrays([names, values], fields=list(SCORED.value_type))
    return pa.ListArray.from_arrays(_offsets(np.full(len(scores), kept)), structs)


def lists(values: Scores) -> pa.ListArray:
    """Each row as one list<float32>."""
    offsets = _offsets(np.full(len(values), values.shape[1]))
    return pa.ListArray.from_arrays(offsets, pa.array(values.ravel(), pa.float32()))


def _descending(scores: Scores) -> tuple[npt.NDArray[np.int64], Scores]:
    order = np.argsort(-scores, axis=1, kind="stable")
    return order, np.take_along_axis(scores, order, axis=1)


def _names(ids: npt.NDArray[np.int64], labels: Sequence[str]) -> pa.Array:
    return pa.array(labels, pa.string()).take(pa.array(ids, pa.int64()))


def _offsets(counts: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
