"""Labels: what the logits of a classifier mean, and the columns that say so.

The checkpoint's `problem_type` decides: softmax over labels that exclude each other, sigmoid for
labels that do not, the logits themselves for regression. Shared by the tasks that classify,
whatever they classify.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from labelmill.batch import THRESHOLD, Array, ModelFacts
from labelmill.errors import ConfigError, ModelError
from labelmill.ops import scores
from labelmill.ops.plugins import suggestion

SINGLE_LABEL = "single_label_classification"
MULTI_LABEL = "multi_label_classification"
REGRESSION = "regression"
REGRESSION_TOLERANCE = 0.02  # of the reference's value, or of 1 where that is smaller

Listed = str | int  # "best": no list of scores; "all", or the k best
Threshold = float | Mapping[str, float]  # lowest score of a label, or of each label by its name


def told(facts: ModelFacts, names: tuple[str, ...] | None, problem_type: str | None) -> ModelFacts:
    """The facts, with what the job says of the labels where it says anything.

    Raises ConfigError where it names more or fewer labels than the model has, ModelError for a
    problem type that there is not.
    """
    if names is not None and len(names) != len(facts.labels):
        raise ConfigError(
            f"options.labels: {names!r} are {len(names)} different names, expected "
            f"{len(facts.labels)}, one for each of the model's own labels "
            f"({', '.join(map(repr, facts.labels[:10]))}), in this order"
        )
    kind = problem_type or facts.problem_type
    if kind not in (None, SINGLE_LABEL, MULTI_LABEL, REGRESSION):
        raise ModelError(
            f"config.json of the model says the problem_type {kind!r}, expected one of "
            f"{SINGLE_LABEL}, {MULTI_LABEL}, {REGRESSION}; set options.problem_type"
        )
    if names is not None and kind == REGRESSION:
        raise ConfigError(
            "options.labels: names are for models that give labels, and this one gives numbers; "
            "remove it"
        )
    return replace(facts, labels=names or facts.labels, problem_type=kind)


def refuse_idle(facts: ModelFacts, listed: Listed, threshold: Threshold) -> None:
    """Raise ConfigError for an option that would do nothing with a model of this problem type."""
    if facts.problem_type == REGRESSION and listed != "best":
        raise ConfigError(
            f"options.scores: {listed!r} is for models that give labels, and this one gives "
            "numbers; remove it"
        )
    if facts.problem_type != MULTI_LABEL and threshold != THRESHOLD:
        raise ConfigError(
            f"options.threshold: {threshold!r} is for models of problem_type {MULTI_LABEL!r}, and "
            f"this one is of {facts.problem_type!r}; remove it"
        )
    _levels(threshold, facts.labels)


def schema(facts: ModelFacts, listed: Listed) -> pa.Schema:
    """The columns that `columns` makes."""
    if facts.problem_type == REGRESSION:
        single = len(facts.labels) == 1
        return pa.schema([("score", pa.float32() if single else pa.list_(pa.float32()))])
    several = facts.problem_type == MULTI_LABEL
    plain = [
        ("label", pa.list_(pa.string()) if several else pa.string()),
        ("score", pa.list_(pa.float32()) if several else pa.float32()),
    ]
    return pa.schema(plain if listed == "best" else [*plain, ("scores", scores.SCORED)])


def activated(logits: Array, facts: ModelFacts) -> scores.Scores:
    """Scores [sequences, labels] in float32; raises ModelError for another number of labels."""
    if logits.ndim != 2 or logits.shape[1] != len(facts.labels):
        raise ModelError(
            f"the model gave logits of shape {logits.shape!r}, expected {len(facts.labels)} in a "
            "row, one for each label of its config.json; the checkpoint does not fit the task"
        )
    if facts.problem_type == REGRESSION:
        return logits.astype(np.float32)
    return scores.sigmoid(logits) if facts.problem_type == MULTI_LABEL else scores.softmax(logits)


def columns(
    given: scores.Scores, facts: ModelFacts, listed: Listed, threshold: Threshold
) -> pa.Table:
    """One row for each row of scores."""
    return pa.table(_arrays(given, facts, listed, threshold), schema=schema(facts, listed))


def unlabelled(schema: pa.Schema, rows: int) -> pa.Table:
    """The columns of so many rows that the model was asked nothing about: nulls."""
    return pa.table([pa.nulls(rows, field.type) for field in schema], schema=schema)


def stretched(table: pa.Table, present: npt.NDArray[np.int32], rows: int) -> pa.Table:
    """A table of `rows` rows: row i of `table` becomes row `present[i]`, the others are null."""
    if len(present) == rows:
        return table
    wanted = pa.array(np.arange(rows, dtype=np.int32))
    return table.take(pc.index_in(wanted, pa.array(present, pa.int32())))


def agree(ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
    """[rows] the same label, the same set of labels, or numbers within REGRESSION_TOLERANCE."""
    name = "label" if "label" in ours.column_names else "score"
    pairs = zip(ours[name].to_pylist(), reference[name].to_pylist(), strict=True)
    return np.array([_alike(one, other) for one, other in pairs], dtype=np.bool_)


def _arrays(
    given: scores.Scores, facts: ModelFacts, listed: Listed, threshold: Threshold
) -> list[pa.Array]:
    if facts.problem_type == REGRESSION:
        return [pa.array(given[:, 0]) if len(facts.labels) == 1 else scores.lists(given)]
    if facts.problem_type == MULTI_LABEL:
        plain = list(scores.at_least(given, facts.labels, _levels(threshold, facts.labels)))
    else:
        plain = list(scores.best(given, facts.labels))
    if listed == "best":
        return plain
    count = listed if isinstance(listed, int) else len(facts.labels)
    return [*plain, scores.ranked(given, facts.labels, count)]


def _levels(threshold: Threshold, names: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """[labels] the lowest score of each; THRESHOLD for those that a mapping does not name."""
    if not isinstance(threshold, Mapping):
        return np.full(len(names), threshold, np.float32)
    for name in threshold:
        if name not in names:
            raise ConfigError(
                f"options.threshold: this model has no label {name!r}"
                f"{suggestion(name, names) or '; it has ' + ', '.join(map(repr, names[:10]))}"
            )
    return np.array([threshold.get(name, THRESHOLD) for name in names], np.float32)


def _alike(ours: object, reference: object) -> bool:
    if isinstance(reference, float) and isinstance(ours, float):
        return abs(ours - reference) <= REGRESSION_TOLERANCE * max(1.0, abs(reference))
    if isinstance(reference, list) and isinstance(ours, list):
        if all(isinstance(value, float) for value in [*ours, *reference]):
            return all(map(_alike, ours, reference))
        return set(ours) == set(reference)
    return ours == reference
