"""Rankings: what a score for every label is worth, whatever threshold one sets.

One label against all others: ROC-AUC, average precision and the threshold with the best F1, as
scikit-learn defines them. The means are computed for all labels at once, from one sort of each,
because the bootstrap asks for them a thousand times; the table comes from scikit-learn itself, and
the tests hold one against the other. A label that every row has, or none, has no ranking and is
left out of the means.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from labelmill.evaluation import libraries
from labelmill.evaluation.scored import Flags, Table, Values, ratio

Scores = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


def means(gold: Flags, scores: Scores) -> Values:
    """Macro means over labels; `gold` and `scores` [rows, labels]."""
    usable = _ranked(gold)
    if not len(usable):
        return {"roc_auc": float("nan"), "average_precision": float("nan")}
    areas, precisions = curves(gold[:, usable], scores[:, usable])
    return {"roc_auc": float(areas.mean()), "average_precision": float(precisions.mean())}


def curves(gold: Flags, scores: Scores) -> tuple[Floats, Floats]:
    """[labels] area under the ROC curve, and average precision.

    The points of both curves are where the sorted score changes: rows of one score come together.
    The area is that of trapezia, the precision is weighted by how much each point adds to recall.
    """
    order = np.argsort(-scores, axis=0, kind="stable")
    falling = np.take_along_axis(scores, order, axis=0)
    right = np.cumsum(np.take_along_axis(gold, order, axis=0), axis=0, dtype=np.float64)
    taken = np.arange(1.0, len(gold) + 1)[:, np.newaxis]
    points = np.ones(gold.shape, np.bool_)
    points[:-1] = falling[1:] != falling[:-1]
    right_before, taken_before = _before(right, points), _before(taken * points, points)
    added, wrong = right - right_before, (taken - right) - (taken_before - right_before)
    there, total = right[-1], len(gold)
    area = (points * wrong * (right + right_before) / 2).sum(axis=0) / (there * (total - there))
    precision = (points * added * right / taken).sum(axis=0) / there
    return area, precision


def thresholds(gold: Flags, scores: Scores, names: Sequence[str]) -> Table:
    """For each label how well it ranks, and from which score on giving it is best by F1.

    The threshold was chosen on these very rows: on others it does a little worse.
    """
    return Table(
        name="thresholds",
        about="Each label against all others. best_f1 is reached where the label is given from "
        "best_threshold on; it was chosen on these very rows.",
        columns=("label", "roc_auc", "average_precision", "best_threshold", "best_f1"),
        rows=tuple((names[n], *_row(gold[:, n], scores[:, n])) for n in _ranked(gold)),
    )


def _before(values: Floats, points: Flags) -> Floats:
    """[rows, labels] the value at the last point before each row, 0 before the first."""
    reached = np.maximum.accumulate(np.where(points, values, 0.0), axis=0)
    found = np.zeros_like(reached)
    found[1:] = reached[:-1]
    return found


def _row(gold: Flags, scores: Scores) -> tuple[float, float, float, float]:
    metrics = libraries.load("sklearn.metrics")
    precision, recall, levels = metrics.precision_recall_curve(gold, scores)
    # The last point is (1, 0) by definition and belongs to no threshold.
    f1 = ratio(2 * precision * recall, precision + recall)[:-1]
    best = int(f1.argmax())
    return (
        float(metrics.roc_auc_score(gold, scores)),
        float(metrics.average_precision_score(gold, scores)),
        float(levels[best]),
        float(f1[best]),
    )


def _ranked(gold: Flags) -> npt.NDArray[np.intp]:
    """Labels that some rows have and some have not."""
    return np.flatnonzero(gold.any(axis=0) & ~gold.all(axis=0))
