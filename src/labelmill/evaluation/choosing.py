"""Choosing: the scorer of a run, by the columns that its task adds.

So a new task whose answers have the columns of another is evaluated with no edit.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from labelmill.errors import ConfigError
from labelmill.evaluation import (
    abstention,
    answering,
    classification,
    masks,
    multi_label,
    overlaps,
    regression,
    tagging,
    transcripts,
)
from labelmill.evaluation.labels import GoldLabels
from labelmill.evaluation.scored import Scorer
from labelmill.evaluation.statistics import TextScorer

# Every name that `Task.metrics` may have.
METRICS = frozenset(
    (
        *classification.METRICS,
        *multi_label.METRICS,
        *regression.METRICS,
        *tagging.METRICS,
        *answering.METRICS,
        *overlaps.ROUGE,
        *overlaps.SACREBLEU,
        *overlaps.EXACT,
        *transcripts.METRICS,
        *masks.METRICS,
    )
)


def scorer(
    added: pa.Schema, settings: Mapping[str, Any], names: Sequence[str], tokenize: str | None
) -> Scorer:
    """The scorer for the columns `added`, without prefix, of a run with these settings.

    `names` are those of gold numbers, `tokenize` is BLEU's. Raises ConfigError where such answers
    have no standard metric, and for an argument that is for other answers.
    """
    _refuse_idle(added, names, tokenize)
    if "label" in added.names:
        return _of_labels(added, settings, names)
    if "entities" in added.names:
        return _of_entities(settings, names)
    if settings.get("options.no_answer") and "answers" in added.names:
        return abstention.AbstainingScorer()
    text = _of_text(added, tokenize)
    if text is not None:
        return text
    if "fills" in added.names:
        return masks.MaskScorer()
    return _of_numbers(added, settings)


def _of_labels(added: pa.Schema, settings: Mapping[str, Any], names: Sequence[str]) -> Scorer:
    ordered = settings.get("options.labels")
    gold = GoldLabels(names, ordered if isinstance(ordered, list) else ())
    listed = settings.get("options.scores") == "all" and "scores" in added.names
    if pt.is_string(added.field("label").type):
        return classification.ClassificationScorer(gold, listed=listed)
    return multi_label.MultiLabelScorer(gold, listed=listed)


def _of_entities(settings: Mapping[str, Any], names: Sequence[str]) -> Scorer:
    if settings.get("options.aggregation") == "none":
        raise ConfigError(
            "the run lists single tokens (options.aggregation: none), which are no entities; label "
            "again with aggregation 'simple', or evaluate another run"
        )
    return tagging.TaggingScorer(settings.get("source.columns.words"), names)


def _of_text(added: pa.Schema, tokenize: str | None) -> Scorer | None:
    if "answer" in added.names:
        return TextScorer("answer", [answering.Squad()], may_be_empty=True)
    if "summary" in added.names:
        return TextScorer("summary", [overlaps.Rouge()])
    if "translation" in added.names:
        measures = [overlaps.SacreBleu("bleu", tokenize), overlaps.SacreBleu("chrf")]
        return TextScorer("translation", measures)
    if "generated_text" in added.names:
        return TextScorer("generated_text", [overlaps.ExactMatch(), overlaps.SacreBleu("chrf")])
    if "transcript" in added.names:
        return TextScorer("transcript", [transcripts.ErrorRates()])
    return None


def _of_numbers(added: pa.Schema, settings: Mapping[str, Any]) -> Scorer:
    single = [field.name for field in added if pt.is_floating(field.type)]
    if len(single) == 1:
        return regression.RegressionScorer(single[0])
    if "embedding" in added.names:
        raise ConfigError(
            "a vector has no gold value; label pairs of texts with a task that gives their "
            "similarity, and evaluate that against gold numbers"
        )
    columns = ", ".join(f"{field.name}: {field.type}" for field in added)
    raise ConfigError(
        f"task {settings.get('task')!r} gives {columns}, for which there is no standard metric"
    )


def _refuse_idle(added: pa.Schema, names: Sequence[str], tokenize: str | None) -> None:
    if names and not {"label", "entities"} & set(added.names):
        raise ConfigError("--names: is for runs that give labels or entities; remove it")
    if tokenize is not None and "translation" not in added.names:
        raise ConfigError("--tokenize: is for the BLEU of translations; remove it")
