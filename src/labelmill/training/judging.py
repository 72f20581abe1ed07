"""Judging: the rows that were kept back, measured as `labelmill evaluate` measures a labelled run.

From what lies with the best checkpoint, so that the model need not run once more: logits and what
was to be learned, or answers in words and what would be right. Trainings that keep neither (next
tokens, embeddings, what is written where no metric of it was asked for) have a loss alone.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from seqeval.metrics.sequence_labeling import get_entities

from labelmill.evaluation.classification import ClassificationScorer
from labelmill.evaluation.labels import GoldLabels
from labelmill.evaluation.measuring import measured
from labelmill.evaluation.multi_label import MultiLabelScorer
from labelmill.evaluation.regression import RegressionScorer
from labelmill.evaluation.scored import Scorer, Table
from labelmill.evaluation.tagging import TaggingScorer
from labelmill.ops import plugins
from labelmill.ops.scores import at_least, best, ranked, sigmoid, softmax
from labelmill.training import checkpointing
from labelmill.training.labelling import scorer_of
from labelmill.training.measuring import named_tags
from labelmill.training.recipe import TrainRecipe

_RESAMPLES = 1000
_SORTABLE = 50_000  # rows up to which metrics that sort them are computed
_GIVEN = 0.5  # a label of several is given from this score on, as in `training.measuring`

_ENTITIES = pa.list_(
    pa.struct([("label", pa.string()), ("start", pa.int64()), ("end", pa.int64())])
)

_Floats = npt.NDArray[np.float32]
_Labels = npt.NDArray[Any]


def judge(checkpoint: Path, recipe: TrainRecipe) -> Mapping[str, Any] | None:
    """Metrics with their 95% intervals, and tables by name; None where nothing is to be judged."""
    scorer = _scorer(checkpoint, recipe)
    if scorer is None:
        return None
    metrics, told = measured(scorer.scored(), _RESAMPLES, recipe.model.seed)
    return {
        "metrics": {
            name: {
                "value": one.value,
                "interval": None if one.low is None else (one.low, one.high),
            }
            for name, one in metrics.items()
        },
        "tables": {table.name: _told(table) for table in told.tables},
    }


def _scorer(checkpoint: Path, recipe: TrainRecipe) -> Scorer | None:
    """With all rows in it."""
    answers, logits = (
        checkpoint / name for name in (checkpointing.ANSWERS, checkpointing.PREDICTIONS)
    )
    if answers.is_file():
        task = plugins.load_class("labelmill.tasks", recipe.task)()
        scorer = scorer_of(task, recipe.facts, recipe.options)
        scorer.add(*checkpointing.read_answers(answers))
        return scorer
    if not logits.is_file():
        return None
    with np.load(logits) as seen:
        return _of_logits(seen["logits"], seen["labels"], recipe)


def _of_logits(logits: _Floats, labels: _Labels, recipe: TrainRecipe) -> Scorer | None:
    names = recipe.facts.labels
    match recipe.objective:
        case "classes":
            return _classes(softmax(logits), labels, names)
        case "label_sets":
            return _label_sets(sigmoid(logits), labels > 0.5, names)
        case "numbers" if logits.shape[1:] in {(), (1,)}:
            return _numbers(logits, labels)
        case "tags":
            return _tags(logits.argmax(axis=-1), labels, names)
    return None


def _classes(given: _Floats, labels: _Labels, names: tuple[str, ...]) -> Scorer:
    columns = dict(zip(("label", "score"), best(given, names), strict=True)) | _all(given, names)
    scorer = ClassificationScorer(GoldLabels((), ()), listed="scores" in columns)
    scorer.add(pa.table(columns), pa.array(names, pa.string()).take(pa.array(labels)))
    return scorer


def _label_sets(given: _Floats, labels: _Labels, names: tuple[str, ...]) -> Scorer:
    columns = {"label": at_least(given, names, _GIVEN)[0]} | _all(given, names)
    scorer = MultiLabelScorer(GoldLabels((), ()), listed="scores" in columns)
    scorer.add(pa.table(columns), at_least(labels.astype(np.float32), names, _GIVEN)[0])
    return scorer


def _all(given: _Floats, names: tuple[str, ...]) -> dict[str, pa.Array]:
    """The scores of all labels, where there are not too many rows."""
    return {"scores": ranked(given, names, len(names))} if len(given) <= _SORTABLE else {}


def _numbers(logits: _Floats, labels: _Labels) -> Scorer:
    scorer = RegressionScorer("score")
    scorer.add(pa.table({"score": logits.ravel()}), pa.array(labels.ravel()))
    return scorer


def _tags(given: _Labels, labels: _Labels, names: tuple[str, ...]) -> Scorer:
    right, ours = (
        pa.array([_entities(tags) for tags in rows], _ENTITIES)
        for rows in named_tags(labels, given, names)
    )
    scorer = TaggingScorer(None)
    scorer.add(pa.table({"entities": ours}), right)
    return scorer


def _entities(tags: list[str]) -> list[dict[str, Any]]:
    """By the places of words."""
    return [
        {"label": label, "start": first, "end": last + 1}
        for label, first, last in get_entities(tags)
    ]


def _told(table: Table) -> dict[str, Any]:
    return {"about": table.about, "columns": list(table.columns), "rows": table.records()}
