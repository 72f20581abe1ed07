"""Windows: what becomes of the several sequences that a long row was cut into.

A row's windows lie next to each other, and each but the first repeats `stride` tokens of the one
before it. A window counts by its own tokens: those that it does not repeat.
"""

import numpy as np
import numpy.typing as npt

from labelmill.batch import Encoded
from labelmill.ops.scores import Scores


def own_tokens(encoded: Encoded, stride: int) -> npt.NDArray[np.int64]:
    """[sequences] tokens that the window before does not have; special tokens count as own."""
    follows = np.zeros(len(encoded), dtype=np.bool_)
    follows[1:] = encoded.rows[1:] == encoded.rows[:-1]
    return encoded.lengths.astype(np.int64) - stride * follows


def row_means(
    scores: Scores, encoded: Encoded, weights: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int32], Scores]:
    """The rows that have a sequence, ascending, and the weighted mean of each one's scores.

    The sums are float64, so a row of one sequence keeps its scores bit by bit.
    """
    rows, starts = np.unique(encoded.rows, return_index=True)
    if len(rows) == len(encoded):
        return rows, scores
    weighted = scores.astype(np.float64) * weights[:, np.newaxis]
    totals = np.add.reduceat(weighted, starts, axis=0)
    shares = np.add.reduceat(weights, starts)
    return rows, (totals / shares[:, np.newaxis]).astype(np.float32)
