"""Calibration: whether a score of 0.9 is right nine times in ten."""

import numpy as np
import numpy.typing as npt

from labelmill.evaluation.scored import Flags, Table, ratio

BINS = 15  # of equal width, as in Guo et al. 2017


def expected_error(scores: npt.NDArray[np.float32], right: Flags) -> float:
    """Expected calibration error: |accuracy - mean score| of each bin, weighted by its rows.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3. `scores` [rows] in
    [0, 1] of the label that was given, `right` [rows] whether it is the gold one.
    """
    counts, means, shares = _bins(scores, right)
    return float((counts * np.abs(shares - means)).sum() / max(counts.sum(), 1))


def reliability(scores: npt.NDArray[np.float32], right: Flags) -> Table:
    """The bins that hold rows."""
    counts, means, shares = _bins(scores, right)
    rows = tuple(
        (n / BINS, (n + 1) / BINS, int(counts[n]), float(means[n]), float(shares[n]))
        for n in np.flatnonzero(counts).tolist()
    )
    return Table(
        name="reliability",
        about="Rows by the score of the label they were given: how often it was right.",
        columns=("from", "to", "rows", "mean_score", "accuracy"),
        rows=rows,
    )


def _bins(
    scores: npt.NDArray[np.float32], right: Flags
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """[BINS] rows, mean score, share of right ones."""
    places = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    sums = np.bincount(places, weights=scores, minlength=BINS)
    hits = np.bincount(places, weights=right, minlength=BINS)
    return counts, ratio(sums, counts), ratio(hits, counts)
