"""Rankings: what a score for every label is worth, whatever threshold one sets.

One label against all others: ROC-AUC, average precision and the threshold with the best F1, as
scikit-learn defines them. The means take both from one sort, because the bootstrap asks for them a
thousand times; the table comes from scikit-learn itself, and the tests hold one against the other.
A label that every row has, or none, has no ranking and is left out of the means.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from labelmill.evaluation import libraries
from labelmill.evaluation.scored import Flags, Table, Values, ratio

Scores = npt.NDArray[np.float32]


def means(gold: Flags, scores: Scores) -> Values:
    """Macro means over labels; `gold` and `scores` [rows, labels]."""
    usable = _ranked(gold)
    if not len(usable):
        return {"roc_auc": float("nan"), "average_precision": float("nan")}
    areas, precisions = zip(*(curves(gold[:, n], scores[:, n]) for n in usable), strict=True)
    return {"roc_auc": float(np.mean(areas)), "average_precision": float(np.mean(precisions))}


def curves(gold: Flags, scores: Scores) -> tuple[float, float]:
    """Area under the ROC curve, and average precision, of one label; `gold` and `scores` [rows].

    The points of both curves are where the sorted score changes: rows of one score come together.
    The area is that of trapezia, the precision is weighted by how much each point adds to recall.
    """
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    points = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(scores) - 1)
    right = np.cumsum(gold[order], dtype=np.float64)[points]
    taken = points + 1.0
    wrong = taken - right
    added, there = np.diff(right, prepend=0.0), right[-1]
    trapezia = np.diff(wrong, prepend=0.0) * (right - added / 2)
    area = trapezia.sum() / (there * wrong[-1])
    return float(area), float((added * right / taken).sum() / there)


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
