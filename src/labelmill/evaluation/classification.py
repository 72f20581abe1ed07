"""Classification: one label a row, against one gold label.

Precision, recall and F1 as scikit-learn has them, over the labels that occur as gold or as answer,
0 where there is nothing to divide by: computed from counts of pairs, so that a sample costs little.
Memory: about 20 bytes a row, and 4 more for each label where the scores of all are there.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from labelmill.evaluation import calibration, rankings
from labelmill.evaluation.labels import GoldLabels, Vocabulary, unknown
from labelmill.evaluation.score_lists import ScoreLists
from labelmill.evaluation.scored import Numbers, Patterns, Table, Told, Values, ratio

METRICS = (
    "accuracy", "f1_macro", "f1_micro", "f1_weighted", "precision_macro", "recall_macro",
    "matthews_correlation", "expected_calibration_error", "roc_auc", "average_precision",
)  # fmt: skip
_NO_SCORES = "it needs the score of every label; label with options.scores: all"
_NO_SHARES = "scores are not between 0 and 1"
_WIDEST = 100  # labels of a confusion matrix that is shown whole
_PAIRS = 20


class ClassificationScorer:
    """See the module."""

    takes_null = False
    takes_empty = False
    gaps: Sequence[str] = ("",)

    def __init__(self, gold: GoldLabels, *, listed: bool) -> None:
        """`listed`: the column `scores` holds every label."""
        self.columns: Sequence[str] = ("label", "score", *(["scores"] if listed else []))
        self._gold, self._labels = gold, Vocabulary()
        self._lists = ScoreLists() if listed else None
        self._chunks: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]] = []
        self._scores: list[npt.NDArray[np.float32]] = []

    def add(self, labelled: pa.Table, gold: pa.Array) -> None:
        """See Scorer."""
        label = labelled["label"].combine_chunks()
        self._chunks.append((self._gold.ids(gold), self._labels.ids(label)))
        scores = labelled["score"].combine_chunks()
        self._scores.append(scores.to_numpy(zero_copy_only=False).astype(np.float32))
        if self._lists is not None:
            self._lists.add(labelled["scores"].combine_chunks())

    def scored(self) -> "ScoredClasses":
        """See Scorer; raises ConfigError where gold numbers cannot be named."""
        given = self._labels.names
        model = tuple(dict.fromkeys([*(self._lists.names if self._lists else ()), *given]))
        gold = self._gold.resolved(model)
        names = tuple(sorted({*model, *gold}))
        right = _places(gold, names)[np.concatenate([chunk[0] for chunk in self._chunks])]
        label = _places(given, names)[np.concatenate([chunk[1] for chunk in self._chunks])]
        scores = np.concatenate(self._scores)
        return ScoredClasses(names, right, label, scores, self._lists, unknown(gold, model))


class ScoredClasses:
    """Rows of gold label and label, see Scored."""

    def __init__(
        self,
        names: tuple[str, ...],
        gold: npt.NDArray[np.int32],
        label: npt.NDArray[np.int32],
        scores: npt.NDArray[np.float32],
        lists: ScoreLists | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        """`gold`, `label` and `scores` [rows]; the first two are places in `names`."""
        self._names, self._scores, self._notes = names, scores, notes
        self._matrix = None if lists is None else lists.matrix()
        # What the matrix has columns for; a label that the model does not know is not ranked.
        self._listed = _places(lists.names if lists else (), names)
        pairs, patterns = np.unique(gold.astype(np.int64) * len(names) + label, return_inverse=True)
        self.patterns: Patterns = patterns.astype(np.int32)
        self.kinds = len(pairs)
        self._gold, self._label = pairs // len(names), pairs % len(names)
        self._right = self._gold == self._label
        self._shares = bool(((scores >= 0) & (scores <= 1)).all())
        self.sorts = self._shares + len(self._listed)

    def counted(self, counts: Numbers) -> Values:
        """See Scored."""
        hits, given, gold = self._sums(counts)
        rows = counts.sum()
        precision, recall, f1 = _rates(hits, given, gold)
        there = (given + gold) > 0
        accuracy = float(hits.sum() / rows)
        return {
            "accuracy": accuracy,
            "f1_macro": float(f1[there].mean()),
            "f1_micro": accuracy,
            "f1_weighted": float((f1 * gold).sum() / rows),
            "precision_macro": float(precision[there].mean()),
            "recall_macro": float(recall[there].mean()),
            "matthews_correlation": _matthews(hits, given, gold),
        }

    def ranked(self, rows: Numbers) -> Values:
        """See Scored."""
        values: Values = {}
        if self._shares:
            right = self._right[self.patterns[rows]]
            error = calibration.expected_error(self._scores[rows], right)
            values["expected_calibration_error"] = error
        if self._matrix is not None:
            gold = self._gold[self.patterns[rows]]
            values |= rankings.means(self._one_hot(gold), self._matrix[rows])
        return values

    def told(self) -> Told:
        """See Scored."""
        counts = np.bincount(self.patterns, minlength=self.kinds)
        left_out = {} if self._shares else {"expected_calibration_error": _NO_SHARES}
        tables = [self._classes(counts), *self._confusion(counts)]
        if self._shares:
            tables.append(calibration.reliability(self._scores, self._right[self.patterns]))
        if self._matrix is None:
            left_out |= dict.fromkeys(("roc_auc", "average_precision", "thresholds"), _NO_SCORES)
        else:
            gold = self._one_hot(self._gold[self.patterns])
            listed = [self._names[place] for place in self._listed]
            tables.append(rankings.thresholds(gold, self._matrix, listed))
        return Told(tables=tuple(tables), left_out=left_out, notes=self._notes)

    def _sums(self, counts: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """[names] rows that are right, that were given the label, whose gold it is."""
        size = len(self._names)
        hits = np.bincount(self._gold[self._right], counts[self._right], size)
        given = np.bincount(self._label, counts, size)
        gold = np.bincount(self._gold, counts, size)
        return hits.astype(np.int64), given.astype(np.int64), gold.astype(np.int64)

    def _one_hot(self, gold: Numbers) -> npt.NDArray[np.bool_]:
        found: npt.NDArray[np.bool_] = gold[:, np.newaxis] == self._listed
        return found

    def _classes(self, counts: Numbers) -> Table:
        hits, given, gold = self._sums(counts)
        rates = zip(*(each.tolist() for each in _rates(hits, given, gold)), strict=True)
        return Table(
            name="classes",
            about="Each label; support is the number of rows whose gold it is.",
            columns=("label", "precision", "recall", "f1", "support", "given"),
            rows=tuple(
                (name, *rate, int(gold[n]), int(given[n]))
                for n, (name, rate) in enumerate(zip(self._names, rates, strict=True))
            ),
        )

    def _confusion(self, counts: Numbers) -> list[Table]:
        wrong = np.flatnonzero(~self._right)
        worst = wrong[np.argsort(-counts[wrong], kind="stable")][:_PAIRS]
        pairs = Table(
            name="confusions",
            about=f"The {_PAIRS} most frequent mistakes.",
            columns=("gold", "label", "rows"),
            rows=tuple(
                (self._names[self._gold[n]], self._names[self._label[n]], int(counts[n]))
                for n in worst
            ),
        )
        if len(self._names) > _WIDEST:
            return [pairs]
        matrix = np.zeros((len(self._names), len(self._names)), np.int64)
        matrix[self._gold, self._label] = counts
        whole = Table(
            name="confusion",
            about="Rows by gold label (down) and label (across).",
            columns=("gold/label", *self._names),
            rows=tuple(
                (name, *row) for name, row in zip(self._names, matrix.tolist(), strict=True)
            ),
        )
        return [whole, pairs]


def _places(names: Sequence[str], all_names: Sequence[str]) -> npt.NDArray[np.int32]:
    where = {name: place for place, name in enumerate(all_names)}
    return np.array([where[name] for name in names], np.int32)


def _rates(
    hits: Numbers, given: Numbers, gold: Numbers
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """[labels] precision, recall, F1."""
    return ratio(hits, given), ratio(hits, gold), ratio(2 * hits, given + gold)


def _matthews(hits: Numbers, given: Numbers, gold: Numbers) -> float:
    """For any number of labels, Gorodkin 2004; 0 where all rows are given one label."""
    rows, right = float(gold.sum()), float(hits.sum())
    one, other = given.astype(np.float64), gold.astype(np.float64)
    below = np.sqrt((rows**2 - (one**2).sum()) * (rows**2 - (other**2).sum()))
    return float(ratio(right * rows - (one * other).sum(), below))
