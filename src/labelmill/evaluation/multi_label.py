"""Multi-label: a list of labels a row, against a list of gold labels.

Precision, recall and F1 as scikit-learn has them, over the labels that occur as gold or as answer.
Memory: some 30 bytes a row and 2 for each label of each pair of label sets that occurs, and 4 for
each label and row where the scores of all are there.
"""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from labelmill.errors import ConfigError
from labelmill.evaluation import libraries, rankings
from labelmill.evaluation.labels import GoldLabels, Vocabulary, unknown
from labelmill.evaluation.score_lists import ScoreLists
from labelmill.evaluation.scored import Flags, Numbers, Table, Told, Values, ratio

METRICS = (
    "subset_accuracy", "f1_micro", "f1_macro", "precision_micro", "recall_micro", "hamming_loss",
    "roc_auc", "average_precision",
)  # fmt: skip
_NO_SCORES = "it needs the score of every label; label with options.scores: all"

_Ids = tuple[int, ...]


class MultiLabelScorer:
    """See the module."""

    takes_null = False
    takes_empty = True
    gaps: Sequence[str] = ("",)

    def __init__(self, gold: GoldLabels, *, listed: bool) -> None:
        """`listed`: the column `scores` holds every label."""
        self.columns: Sequence[str] = ("label", *(["scores"] if listed else []))
        self._gold, self._labels = gold, Vocabulary()
        self._lists = ScoreLists() if listed else None
        self._patterns: dict[tuple[_Ids, _Ids], int] = {}
        self._chunks: list[npt.NDArray[np.int32]] = []

    def add(self, labelled: pa.Table, gold: pa.Array) -> None:
        """See Scorer."""
        if not (pt.is_list(gold.type) or pt.is_large_list(gold.type)):
            raise ConfigError(
                f"--gold: is of type {gold.type}, expected a list of labels in each row, because "
                "the model gives lists"
            )
        label = labelled["label"].combine_chunks()
        rights = _sets(self._gold.ids(pc.drop_null(gold.flatten())), gold)
        givens = _sets(self._labels.ids(pc.drop_null(label.flatten())), label)
        pairs = zip(rights, givens, strict=True)
        found = [self._patterns.setdefault(pair, len(self._patterns)) for pair in pairs]
        self._chunks.append(np.array(found, np.int32))
        if self._lists is not None:
            self._lists.add(labelled["scores"].combine_chunks())

    def scored(self) -> "ScoredSets":
        """See Scorer; raises ConfigError where gold numbers cannot be named."""
        given = self._labels.names
        model = tuple(dict.fromkeys([*(self._lists.names if self._lists else ()), *given]))
        gold = self._gold.resolved(model)
        names = tuple(sorted({*model, *gold}))
        rights = _members((right for right, _ in self._patterns), gold, names)
        givens = _members((label for _, label in self._patterns), given, names)
        patterns = np.concatenate(self._chunks)
        return ScoredSets(names, rights, givens, patterns, self._lists, unknown(gold, model))


class ScoredSets:
    """Rows of gold labels and labels, see Scored."""

    def __init__(
        self,
        names: tuple[str, ...],
        gold: Flags,
        label: Flags,
        patterns: npt.NDArray[np.int32],
        lists: ScoreLists | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        """`gold` and `label` [patterns, names], `patterns` [rows]."""
        self._names, self._gold = names, gold
        self.patterns, self.kinds = patterns, len(gold)
        self._matrix, self._notes = None if lists is None else lists.matrix(), notes
        # What the matrix has columns for; a label that the model does not know is not ranked.
        self._listed = [names.index(name) for name in (lists.names if lists else ())]
        self._wrong = (gold != label).sum(axis=1)
        # Few of many labels: counting them for each sample of the bootstrap reads these alone.
        sparse = libraries.load("scipy.sparse").csr_array
        self._members = tuple(
            sparse(members.T, dtype=np.int64) for members in (gold & label, label, gold)
        )
        self.sorts = len(self._listed)

    def counted(self, counts: Numbers) -> Values:
        """See Scored."""
        hits, given, gold = self._sums(counts)
        rows, there = counts.sum(), (given + gold) > 0
        f1 = ratio(2 * hits, given + gold)[there]
        return {
            "subset_accuracy": float(counts[self._wrong == 0].sum() / rows),
            "f1_micro": float(ratio(2 * hits.sum(), given.sum() + gold.sum())),
            "f1_macro": float(f1.mean()) if len(f1) else float("nan"),
            "precision_micro": float(ratio(hits.sum(), given.sum())),
            "recall_micro": float(ratio(hits.sum(), gold.sum())),
            "hamming_loss": float((counts @ self._wrong) / (rows * max(len(self._names), 1))),
        }

    def ranked(self, rows: Numbers) -> Values:
        """See Scored."""
        if self._matrix is None:
            return {}
        gold = self._gold[:, self._listed][self.patterns[rows]]
        return rankings.means(gold, self._matrix[rows])

    def told(self) -> Told:
        """See Scored."""
        counts = np.bincount(self.patterns, minlength=self.kinds)
        classes = self._classes(counts)
        if self._matrix is None:
            left_out = dict.fromkeys(("roc_auc", "average_precision", "thresholds"), _NO_SCORES)
            return Told(tables=(classes,), left_out=left_out, notes=self._notes)
        gold = self._gold[:, self._listed][self.patterns]
        listed = [self._names[place] for place in self._listed]
        ranked = rankings.thresholds(gold, self._matrix, listed)
        return Told(tables=(classes, ranked), notes=self._notes)

    def _sums(self, counts: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """[names] rows with the label as gold and answer, as answer, as gold."""
        weights = counts.astype(np.int64)
        hits, given, gold = (members @ weights for members in self._members)
        return hits, given, gold

    def _classes(self, counts: Numbers) -> Table:
        hits, given, gold = self._sums(counts)
        columns = (
            ratio(hits, given), ratio(hits, gold), ratio(2 * hits, given + gold), gold, given,
        )  # fmt: skip
        rows = zip(self._names, *(column.tolist() for column in columns), strict=True)
        return Table(
            name="classes",
            about="Each label; support is the number of rows that have it as gold.",
            columns=("label", "precision", "recall", "f1", "support", "given"),
            rows=tuple(rows),
        )


def _sets(ids: npt.NDArray[np.int32], lists: pa.Array) -> list[_Ids]:
    """The ids of each row, sorted and each once; nulls inside a list are no label."""
    parents = pc.list_parent_indices(lists)
    kept = parents.filter(pc.is_valid(lists.flatten())).to_numpy(zero_copy_only=False)
    bounds = np.searchsorted(kept, np.arange(len(lists) + 1))
    listed = ids.tolist()
    return [tuple(sorted(set(listed[a:b]))) for a, b in itertools.pairwise(bounds)]


def _members(sets: Iterable[_Ids], own: Sequence[str], names: Sequence[str]) -> Flags:
    """[patterns, names]."""
    places = [names.index(name) for name in own]
    listed = list(sets)
    found = np.zeros((len(listed), len(names)), np.bool_)
    for row, ids in enumerate(listed):
        found[row, [places[each] for each in ids]] = True
    return found
