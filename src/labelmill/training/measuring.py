"""Measuring: what is told of a model while it is trained, from its logits over the kept-back rows.

By scikit-learn and seqeval; entities are those that `ops.entities` reads when labelling. Which
objectives have such metrics is said in `METRICS`; what models answer or write in words is measured
by `labelling`.
"""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import pearsonr, spearmanr
from seqeval.metrics import f1_score as entity_f1
from seqeval.metrics import precision_score as entity_precision
from seqeval.metrics import recall_score as entity_recall
from sklearn.metrics import f1_score

from labelmill.learning import IGNORED, Objective
from labelmill.ops.entities import bioes, prefixes_of

Logits = npt.NDArray[np.float32]
Labels = npt.NDArray[np.generic]
LOSS, PERPLEXITY = "loss", "perplexity"
_OVERLAP = "f1"  # of the words of two answers, as for SQuAD
_OVERFLOW = 700.0  # of a double's exponential
LOWEST = frozenset((LOSS, PERPLEXITY, "rmse"))  # best when lowest; all others when highest

# The first is the one by which the best checkpoint is found.
METRICS: Mapping[Objective, tuple[str, ...]] = {
    "classes": ("accuracy", "f1_macro"),
    "label_sets": ("f1_micro", "f1_macro", "exact"),
    "numbers": ("spearman", "pearson", "rmse"),
    "tags": ("entity_f1", "entity_precision", "entity_recall", "accuracy"),
}


def main_metric(objective: Objective, answers: Sequence[str] = ()) -> str:
    """The metric by which a checkpoint is best where the job names none.

    `answers` are metrics of what the model answers. Spans are always measured by theirs.
    """
    if objective == "spans" and _OVERLAP in answers:
        return _OVERLAP
    return METRICS.get(objective, (LOSS,))[0]


def of_loss(objective: Objective, loss: float) -> dict[str, float]:
    """What is told beside the loss that says no more than it: of next tokens, their perplexity."""
    if objective != "next_token":
        return {}
    return {PERPLEXITY: math.exp(loss) if loss < _OVERFLOW else math.inf}


def measure(
    objective: Objective, logits: Logits, labels: Labels, names: Sequence[str]
) -> dict[str, float]:
    """The metrics of the objective: logits [rows, ...] against labels [rows, ...], by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a label that nobody gave, numbers that are all the same
        match objective:
            case "classes":
                return _classes(logits, labels)
            case "label_sets":
                return _label_sets(logits, labels)
            case "numbers":
                return _numbers(logits, labels)
            case "tags":
                return _tags(logits, labels, names)
    return {}


def _classes(logits: Logits, labels: Labels) -> dict[str, float]:
    given = logits.argmax(axis=-1)
    return {
        "accuracy": float((given == labels).mean()),
        "f1_macro": float(f1_score(labels, given, average="macro", zero_division=0)),
    }


def _label_sets(logits: Logits, labels: Labels) -> dict[str, float]:
    """F1 over the labels that a row has or was given, as `labelmill evaluate` has it."""
    given, right = logits > 0, labels > 0.5  # type: ignore[operator]  # float32
    there = np.flatnonzero((given | right).any(axis=0))
    # A single label scikit-learn would take for two classes, so that there is a second one.
    sides = [np.pad(side, ((0, 0), (0, 1))) for side in (right, given)]
    chosen: dict[str, Any] = {"labels": there, "zero_division": 0}
    return {
        "f1_micro": float(f1_score(*sides, average="micro", **chosen)) if len(there) else 0.0,
        "f1_macro": float(f1_score(*sides, average="macro", **chosen)) if len(there) else 0.0,
        "exact": float((right == given).all(axis=1).mean()),
    }


def _numbers(logits: Logits, labels: Labels) -> dict[str, float]:
    """Correlations are the mean of those of every number, 0 where there is none, as of one row."""
    wanted = labels.astype(np.float32).reshape(logits.shape)
    # Of fewer rows than two scipy raises ValueError, or gives NaN.
    pairs = list(zip(logits.T, wanted.T, strict=True)) if len(logits) > 1 else []
    return {
        "spearman": _mean(spearmanr(one, other).statistic for one, other in pairs),
        "pearson": _mean(pearsonr(one, other).statistic for one, other in pairs),
        "rmse": float(np.sqrt(np.mean((logits - wanted) ** 2))),
    }


def _mean(values: Iterable[float]) -> float:
    found = [0.0 if np.isnan(value) else value for value in values]
    return float(np.mean(found)) if found else 0.0


def _tags(logits: Logits, labels: Labels, names: Sequence[str]) -> dict[str, float]:
    best = logits.argmax(axis=-1)
    counted = labels != IGNORED
    right, given = named_tags(labels, best, names)
    return {
        "entity_f1": float(entity_f1(right, given, zero_division=0)),
        "entity_precision": float(entity_precision(right, given, zero_division=0)),
        "entity_recall": float(entity_recall(right, given, zero_division=0)),
        "accuracy": float((best[counted] == labels[counted]).mean()),
    }


def named_tags(
    labels: Labels, given: Labels, names: Sequence[str]
) -> tuple[list[list[str]], list[list[str]]]:
    """Tags of BIOES where something is learned, row by row: right and given ones [rows, tokens]."""
    prefixes = prefixes_of(names)
    table = np.array([bioes(name, prefixes) for name in names], object)
    rows = list(zip(labels, given, labels != IGNORED, strict=True))
    return (
        [table[gold[mask].astype(np.int64)].tolist() for gold, _, mask in rows],
        [table[ours[mask]].tolist() for _, ours, mask in rows],
    )
