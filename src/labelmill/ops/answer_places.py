"""Answer places: the answers of a reading data set to the tokens where they begin and end.

Answers are as SQuAD has them, `{"text": [...], "answer_start": [...]}`, of which the first is
learned; or one text a row, and perhaps the character (Unicode code point) where it begins. No
answer is an empty list, or a blank text; among others a blank one counts for nothing. A window that
does not hold the whole answer points to the classification token, as SQuAD's scripts have it;
without such a token it is left out.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from labelmill.batch import Encoded
from labelmill.learning import Examples
from labelmill.ops.question_windows import NO_ANSWER

Places = npt.NDArray[np.int64]
Span = tuple[int, int]  # characters of the context; equal where there is no answer
_NONE: Span = (0, 0)


class _BadAnswer(Exception):  # noqa: N818 - never leaves this module
    """No span can be learned of the row; its text is the reason."""


def spans(
    contexts: Sequence[str],
    answers: Sequence[str] | None,
    texts: Sequence[str] | None,
    starts: Sequence[str | None] | None,
) -> tuple[list[Span], dict[int, str]]:
    """[rows] where in its context each answer is, and why it is nowhere, by row.

    `answers` are JSON text as SQuAD has them; else `texts` are answers, and `starts`, JSON text of
    numbers, where they begin.
    """
    found, errors = [], {}
    for row, context in enumerate(contexts):
        try:
            if answers is not None:
                text, start = next(iter(_of_squad(answers[row])), ("", None))
            else:
                text, start = texts[row] if texts else "", _number(starts[row] if starts else None)
            found.append(_span(context, text, start))
        except _BadAnswer as error:
            found.append(_NONE)
            errors[row] = str(error)
    return found, errors


def texts(answers: Sequence[str]) -> pa.Array:
    """[rows] list<string>: all answers of each row that `spans` takes."""
    found = [[text for text, _ in _of_squad(one)] for one in answers]
    return pa.array(found, pa.list_(pa.string()))


def _of_squad(answers: str) -> list[tuple[str, int | None]]:
    """Texts that are not blank, and where they begin."""
    try:
        told: Any = json.loads(answers)
        texts, starts = told["text"], told["answer_start"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _shapeless(answers) from error
    if texts is None and starts is None:  # as some write a question without answer
        return []
    if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
        raise _shapeless(answers)
    if not all(isinstance(text, str) for text in texts) or not all(map(_is_whole, starts)):
        raise _BadAnswer(f"answers {answers!r:.60} found, expected texts and whole numbers")
    return [(text, start) for text, start in zip(texts, starts, strict=True) if text.strip()]


def _shapeless(answers: str) -> _BadAnswer:
    return _BadAnswer(
        f"answers {answers!r:.60} found, expected "
        '{"text": [...], "answer_start": [...]}, both of one length'
    )


def _number(start: str | None) -> int | None:
    """Where pandas misses some it writes 10.0 for 10, and NaN."""
    told: Any
    try:
        told = json.loads(start) if start and start.strip() else None
    except ValueError:
        told = start
    if isinstance(told, float):
        told = None if math.isnan(told) else int(told) if told.is_integer() else told
    if told is None or _is_whole(told):
        number: int | None = told
        return number
    raise _BadAnswer(f"answer_start {start!r:.60} found, expected a whole number")


def _is_whole(told: Any) -> bool:
    return isinstance(told, int) and not isinstance(told, bool)


def _span(context: str, text: str, start: int | None) -> Span:
    """Without white space at the edges of the answer."""
    bare = text.strip()
    if not bare:
        return _NONE
    if start is None:
        count = context.count(text)
        if count != 1:
            raise _BadAnswer(
                f"the answer {text!r:.60} is {count} times in the context, expected once; say "
                "where it begins in answer_start"
            )
        start = context.index(text)
    elif start < 0 or context[start : start + len(text)] != text:
        there = context[max(0, start) : start + len(text)]
        raise _BadAnswer(f"the answer {text!r:.60} is not at {start}: there is {there!r:.60}")
    start += len(text) - len(text.lstrip())
    return start, start + len(bare)


def learned(encoded: Encoded, answers: Sequence[Span], errors: Mapping[int, str]) -> Examples:
    """Start and end positions [windows] of each window, as `question_windows.encode` marks them.

    A row whose answer is whole in none of its windows goes into the errors, as does one that has no
    window to learn from.
    """
    edges = zip(encoded.offsets, encoded.offsets[1:], encoded.rows.tolist(), strict=False)
    found = [_places(encoded, begin, end, answers[row]) for begin, end, row in edges]
    places = np.array(found, np.int64).reshape(-1, 2)
    whole = set(encoded.rows[places[:, 0] >= 0].tolist())
    told = dict(encoded.errors) | dict(errors)
    for row, answer in enumerate(answers):
        if answer != _NONE and row not in whole and row not in told:
            told[row] = (
                "the answer is whole in no window of the context; raise options.stride or "
                "options.max_length"
            )
    classes = _classification(encoded)
    places = np.where(places < 0, classes[:, np.newaxis], places)
    kept = np.flatnonzero((places[:, 0] >= 0) & ~np.isin(encoded.rows, list(told)))
    rows = encoded.rows[kept]
    read, used = set(encoded.rows.tolist()), set(rows.tolist())
    told |= {
        row: "there is no answer, and no token of this model to point to instead"
        if row in read
        else "the context is blank"
        for row in range(len(answers))
        if row not in used and row not in told
    }
    return Examples(
        encoded=replace(encoded.take(kept, rows), errors=told),
        targets={"start_positions": places[kept, 0], "end_positions": places[kept, 1]},
    )


def _places(encoded: Encoded, begin: int, end: int, answer: Span) -> tuple[int, int]:
    """First and last token of the answer in a window, or -1 and -1 where it is not whole there."""
    starts, ends = encoded.marks["start"][begin:end], encoded.marks["end"][begin:end]
    solid = np.flatnonzero((starts >= 0) & (ends > starts))
    if answer == _NONE or not len(solid):
        return -1, -1
    first = solid[np.searchsorted(ends[solid], answer[0], side="right").clip(max=len(solid) - 1)]
    last = solid[(np.searchsorted(starts[solid], answer[1]) - 1).clip(min=0)]
    inside = starts[first] <= answer[0] < ends[first] and starts[last] < answer[1] <= ends[last]
    return (int(first), int(last)) if inside else (-1, -1)


def _classification(encoded: Encoded) -> Places:
    """[windows] the place of the classification token in each, or -1."""
    at = np.flatnonzero(encoded.marks["start"] == NO_ANSWER)
    windows = np.searchsorted(encoded.offsets, at, side="right") - 1
    places = np.full(len(encoded), -1, np.int64)
    places[windows] = at - encoded.offsets[windows]
    return places
