"""Targets: a column of labels, as people keep them, to what a classifier learns.

A cell is JSON text or plain text: a label ("positive", 3, true), a list of labels, or a number. Of
a column of nothing but numbers, some of them with a decimal point, numbers are learned; of one with
lists, sets of labels; of any other, one label a row. A blank cell has no label, nor has NaN, which
is how Arrow's numbers say that one is missing. Shared by the tasks that classify, whatever they
classify.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from labelmill.batch import Array, Encoded, ModelFacts
from labelmill.errors import ConfigError, InputError
from labelmill.learning import Examples, Head, Objective, of_rows
from labelmill.ops.labels import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from labelmill.ops.plugins import suggestion

_MOST = 20_000  # different labels; beyond that a column is an id or a text
_WHOLE = re.compile(r"-?\d{1,18}")  # of more digits than 4,300 Python makes no number
_LARGEST = float(np.finfo(np.float32).max)
_OBJECTIVES: dict[str, Objective] = {
    SINGLE_LABEL: "classes",
    MULTI_LABEL: "label_sets",
    REGRESSION: "numbers",
}
Errors = dict[int, str]


def objective(facts: ModelFacts) -> Objective:
    """What the loss of a classifier of this problem type is."""
    return _OBJECTIVES[facts.problem_type or SINGLE_LABEL]


def head(
    column: pa.ChunkedArray,
    facts: ModelFacts,
    names: Sequence[str] | None,
    problem_type: str | None,
) -> Head:
    """The labels of the column and what kind of problem they make.

    `names` are labels in the order of their ids, where the job gives them; the model's own labels
    stay where they are those of the data. Raises InputError for a column without two labels, and
    ConfigError for names that the problem cannot have.
    """
    told = pc.value_counts(column.combine_chunks())
    cells = {
        text: (_cell(text), count)
        for text, count in zip(
            told.field("values").to_pylist(), told.field("counts").to_pylist(), strict=True
        )
        if not _is_missing(text)
    }
    kind = problem_type or _kind([cell for cell, _ in cells.values()])
    _refuse_names(names, kind)
    if kind == REGRESSION:
        return _numbers(cells)
    counted: Counter[str] = Counter()
    for text, (cell, count) in cells.items():
        if not _has_gap(cell):
            for label in set(_labels(text, cell, several=kind == MULTI_LABEL)):
                counted[label] += count
    labels = _ordered(counted, facts, names)
    return Head(
        labels=labels,
        problem_type=kind,
        counts={label: counted[label] + _numbered(counted, labels, label) for label in labels},
    )


def learned(column: pa.ChunkedArray, facts: ModelFacts) -> tuple[Array, Errors]:
    """[rows] int64 ids, [rows, labels] float32 of 0 and 1, or [rows, numbers] float32.

    Which of them, `facts` say. A row that has no such target has an entry in the errors.
    """
    texts = column.to_pylist()
    if facts.problem_type == REGRESSION:
        return _learned_numbers(texts, len(facts.labels))
    ids = {name: number for number, name in enumerate(facts.labels)}
    several = facts.problem_type == MULTI_LABEL
    errors: Errors = {}
    sets: list[list[int]] = []
    for row, text in enumerate(texts):
        found = _found(text, ids, several=several)
        if isinstance(found, str):
            errors[row] = found
            found = []
        elif not several and len(found) != 1:
            errors[row] = f"label {text!r:.60} is no label of its own"
        sets.append(found)
    if several:
        return _indicators(sets, len(ids)), errors
    return np.array([one[0] if one else 0 for one in sets], np.int64), errors


def examples(encoded: Encoded, column: pa.ChunkedArray, facts: ModelFacts) -> Examples:
    """Every sequence is to get the label of its row; see `learned`."""
    values, errors = learned(column, facts)
    return Examples(
        encoded=replace(encoded, errors={**encoded.errors, **errors}),
        targets={"labels": of_rows(values, encoded)},
    )


def _cell(text: str) -> Any:
    """What JSON text says; text that is no JSON is itself."""
    if text[:1] in "[-0123456789":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _is_missing(text: str) -> bool:
    return not text.strip() or text == "NaN"


def _has_gap(cell: Any) -> bool:
    """Whether it is a list of labels in which one is missing: null, NaN or blank."""
    if not isinstance(cell, list):
        return False
    return any(one is None or _is_missing(_named(one)) for one in cell)


def _kind(cells: Sequence[Any]) -> str:
    # Python's csv writes NaN as "nan". Where the others are words it may be one: a language's code.
    cells = [cell for cell in cells if cell != "nan"]
    if any(isinstance(cell, list) for cell in cells):
        return MULTI_LABEL
    numbers = [cell for cell in cells if isinstance(cell, int | float)]
    if len(numbers) == len(cells) and any(isinstance(cell, float) for cell in numbers):
        return REGRESSION
    return SINGLE_LABEL


def _labels(text: str, cell: Any, *, several: bool) -> list[str]:
    """The labels of one cell by name; none where it is not of the kind."""
    if not isinstance(cell, list):
        return [text]
    if not several:
        return []
    return [_named(one) for one in cell]


def _named(label: Any) -> str:
    return label if isinstance(label, str) else json.dumps(label)


def _refuse_names(names: Sequence[str] | None, kind: str) -> None:
    """Raise ConfigError for names of labels where there are none, or for one that excludes none."""
    if names is not None and kind == REGRESSION:
        raise ConfigError(
            f"options.labels: {names!r} are names of labels, and the column of labels has numbers; "
            f"remove it, or set options.problem_type to {SINGLE_LABEL!r}"
        )
    if names is not None and kind == SINGLE_LABEL and len(names) < 2:
        raise ConfigError(
            f"options.labels: {names!r} found, expected two or more labels that exclude each "
            "other; add those that are missing, or remove it"
        )


def _ordered(
    counted: Counter[str], facts: ModelFacts, names: Sequence[str] | None
) -> tuple[str, ...]:
    if names is not None:
        return tuple(names)
    if len(counted) < 2 or len(counted) > _MOST:
        raise InputError(
            f"the column of labels has {len(counted):,} different ones, expected 2 to {_MOST:,}; "
            "see that data.columns names the right column"
        )
    if set(counted) <= set(facts.labels):
        return facts.labels
    return tuple(sorted(counted, key=_by_number))


def _by_number(label: str) -> tuple[int, int, str]:
    return (0, int(label), label) if _WHOLE.fullmatch(label) else (1, 0, label)


def _numbered(counted: Counter[str], labels: tuple[str, ...], label: str) -> int:
    """Times that a label is in the data by its number, see `_ids`."""
    by_number = not any(map(str.isdecimal, labels))
    return counted[str(labels.index(label))] if by_number else 0


def _found(text: str, ids: dict[str, int], *, several: bool) -> list[int] | str:
    """The numbers of the labels of one cell, or why it has none."""
    cell = _cell(text)
    if _is_missing(text):
        return f"there is no label: {text!r:.60}"
    if _has_gap(cell):
        return f"label {text!r:.60} found, expected no label of the list to be null or empty"
    return _ids(_labels(text, cell, several=several), ids)


def _ids(labels: Sequence[str], ids: dict[str, int]) -> list[int] | str:
    """The numbers of the labels, or why one has none; a label may be given by its number.

    Not where a label's name is a number itself: 7 would then be the eighth of any ten.
    """
    found = []
    for label in labels:
        number = ids.get(label)
        if number is None and _WHOLE.fullmatch(label) and not any(map(str.isdecimal, ids)):
            number = int(label) if 0 <= int(label) < len(ids) else None
        if number is None:
            return f"no such label is learned: {label!r:.60}{suggestion(label, ids)}"
        found.append(number)
    return found


def _indicators(sets: Sequence[Sequence[int]], labels: int) -> Array:
    given = np.zeros((len(sets), labels), np.float32)
    rows = np.repeat(np.arange(len(sets)), [len(one) for one in sets])
    given[rows, np.fromiter(chain.from_iterable(sets), np.int64)] = 1
    return given


def _numbers(cells: dict[str, tuple[Any, int]]) -> Head:
    width = max((_width(cell) for cell, _ in cells.values()), default=0)
    if width == 0:
        raise InputError(
            "the column of labels has no number in it, expected numbers or lists of numbers; see "
            "that data.columns names the right column, or set options.problem_type"
        )
    names = ("score",) if width == 1 else tuple(f"score {number}" for number in range(width))
    return Head(labels=names, problem_type=REGRESSION)


def _width(cell: Any) -> int:
    values = cell if isinstance(cell, list) else [cell]
    fine = all(isinstance(one, int | float) and abs(one) <= _LARGEST for one in values)
    return len(values) if fine else 0


def _learned_numbers(texts: Sequence[str], width: int) -> tuple[Array, Errors]:
    errors: Errors = {}
    given = np.zeros((len(texts), width), np.float32)
    for row, text in enumerate(texts):
        cell = _cell(text)
        if _width(cell) == width:
            given[row] = cell
        else:
            expected = "a number" if width == 1 else f"a list of {width} numbers"
            errors[row] = f"label {text!r:.60} found, expected {expected}"
    return given, errors
