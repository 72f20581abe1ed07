"""Answers: start and end logits of question windows to spans of the context, best first.

In each window, starts and ends have a softmax of their own over the tokens of the context and the
classification token; the score of a span is the product of the probabilities of its start and its
end, that of no answer the same product for the classification token. A row's spans are those of all
of its windows; of a span found twice (in the overlap of windows, or from two pieces of one
character) the higher score counts. A row's score of no answer is the lowest of its windows', as
most windows of a context with an answer rightly have none. So the question-answering pipeline of
transformers 4 scored (`select_starts_ends`), except that it added up the scores of equal texts,
which can exceed 1. What the evaluation of SQuAD 2.0 compares with its threshold, the difference of
sums of logits, is the difference of the logarithms of these scores where a row has one window.

Scores are kept as logarithms. No table of all pairs of tokens is made: memory is linear in them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from labelmill.batch import Array, Encoded
from labelmill.ops.question_windows import NO_ANSWER

Logs = npt.NDArray[np.float64]  # logarithms of scores; -inf where there is no candidate
Places = npt.NDArray[np.int64]

NOWHERE = -1  # start and end of no answer

_BLOCK = 1 << 16  # tokens that are looked at together
_NEVER = np.iinfo(np.int32).max


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """Answers of rows: a row's together and best first, rows ascending."""

    rows: Places  # [spans]
    starts: Places  # [spans] characters of the context
    ends: Places
    scores: Logs

    def take(self, places: Places) -> Self:
        """Some of them, in the order given."""
        return replace(
            self,
            rows=self.rows[places],
            starts=self.starts[places],
            ends=self.ends[places],
            scores=self.scores[places],
        )


def best(
    start: Array, end: Array, encoded: Encoded, *, longest: int, count: int
) -> tuple[Spans, Logs]:
    """The `count` best spans of each row, and [rows up to the last] the scores of no answer.

    `start` and `end` are logits [tokens]. A span has at most `longest` tokens; it begins and ends
    at tokens of the context that cover more than white space. Equal scores are in the order of the
    text. A window whose logits are not finite has no spans.
    """
    parts = []
    lowest = np.full(int(encoded.rows.max(initial=-1)) + 1, np.inf)
    for part, inside in _blocks(encoded):
        starts, ends = likelihoods(start[inside], part), likelihoods(end[inside], part)
        parts.append(_spans(starts, ends, part, longest, count))
        at = np.flatnonzero(part.marks["start"] == NO_ANSWER)
        np.minimum.at(lowest, np.repeat(part.rows, part.lengths)[at], starts[at] + ends[at])
    return _joined(parts), np.where(np.isinf(lowest), -np.inf, lowest)


def with_no_answer(spans: Spans, nothing: Logs, threshold: float, count: int) -> Spans:
    """The `count` best of each row's spans and no answer, which lies NOWHERE.

    No answer is ranked as if its score were lower by `threshold`; the score is left as it is.
    """
    rows = np.flatnonzero(nothing > -np.inf)
    nowhere = np.full(len(rows), NOWHERE)
    every = _joined([spans, Spans(rows=rows, starts=nowhere, ends=nowhere, scores=nothing[rows])])
    keys = every.scores - threshold * (every.starts == NOWHERE)
    # Of equal ones the span comes first: no answer has to be better.
    order = np.lexsort((every.starts == NOWHERE, -keys, every.rows))
    return every.take(order[_ranks(every.rows[order]) < count])


def likelihoods(logits: Array, encoded: Encoded) -> Logs:
    """[tokens] logarithms of the softmax of each window, -inf where it does not reach."""
    inside = (encoded.marks["start"] >= 0) | (encoded.marks["start"] == NO_ANSWER)
    values = np.where(inside, logits.astype(np.float64), -np.inf)
    firsts = encoded.offsets[:-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        values -= np.repeat(np.maximum.reduceat(values, firsts), encoded.lengths)
        values -= np.repeat(np.log(np.add.reduceat(np.exp(values), firsts)), encoded.lengths)
    values[np.isnan(values)] = -np.inf
    return values


def _blocks(encoded: Encoded) -> Iterator[tuple[Encoded, slice]]:
    """Runs of whole rows of about _BLOCK tokens, and where their tokens are."""
    offsets = encoded.offsets
    firsts = np.flatnonzero(np.diff(encoded.rows, prepend=-1))  # sequences that begin a row
    begun = 0
    while begun < len(encoded):
        enough = firsts[(offsets[firsts] >= offsets[begun] + _BLOCK)]
        ended = int(enough[0]) if len(enough) else len(encoded)
        inside = slice(offsets[begun], offsets[ended])
        marks = {name: values[inside] for name, values in encoded.marks.items()}
        rows, lengths = encoded.rows[begun:ended], encoded.lengths[begun:ended]
        yield Encoded(rows=rows, lengths=lengths, marks=marks), inside
        begun = ended


def _spans(start: Logs, end: Logs, encoded: Encoded, longest: int, count: int) -> Spans:
    begins, stops = encoded.marks["start"], encoded.marks["end"]
    solid = (begins >= 0) & (stops > begins)
    start, end = np.where(solid, start, -np.inf), np.where(solid, end, -np.inf)
    bounds = np.repeat(encoded.offsets[1:], encoded.lengths)  # where each token's window ends
    heads, bar = _heads(start + _highest_ahead(end, bounds, longest), encoded, count)
    tails = heads[:, np.newaxis] + np.arange(longest)
    within = tails < bounds[heads][:, np.newaxis]
    scores = start[heads][:, np.newaxis] + end[np.where(within, tails, 0)]
    good = within & (scores > -np.inf) & (scores >= bar[:, np.newaxis])
    which, ahead = np.nonzero(good)
    first, last = heads[which], tails[which, ahead]
    rows = np.repeat(encoded.rows, encoded.lengths)[first].astype(np.int64)
    found = Spans(
        rows=rows,
        starts=begins[first].astype(np.int64),
        ends=stops[last].astype(np.int64),
        scores=scores[which, ahead],
    )
    return _ranked(found, count)


def _highest_ahead(values: Logs, bounds: Places, width: int) -> Logs:
    """[tokens] the highest of each token and the `width` - 1 after it, inside its window.

    What is looked at doubles with each step.
    """
    places = np.arange(len(values))
    done = 1
    while done < width:
        step = min(done, width - done)
        ahead = places + step
        inside = ahead < bounds
        further = np.where(inside, values[np.where(inside, ahead, 0)], -np.inf)
        values = np.maximum(values, further)
        done += step
    return values


def _heads(reach: Logs, encoded: Encoded, count: int) -> tuple[Places, Logs]:
    """The tokens where the `count` best spans of each row begin, and a score that these reach.

    `reach` is the score of the best span from each token. The spans begin at the `count` characters
    with the best ones: each of these has a span at least as good as any that begins elsewhere, and
    the last of them sets the bar. Several tokens may begin at one character.
    """
    begins, reach = encoded.marks["start"], reach.copy()
    rows = np.flatnonzero(np.diff(encoded.rows, prepend=-1))
    firsts = encoded.offsets[rows]
    sizes = np.diff(np.append(firsts, encoded.offsets[-1]))
    chosen, peaks = np.zeros(len(reach), np.bool_), np.full(len(reach), -np.inf)
    for _ in range(count):
        open_ = reach > -np.inf
        if not open_.any():
            peaks[:] = -np.inf  # no row has so many characters: all of their spans are wanted
            break
        peaks = np.repeat(np.maximum.reduceat(reach, firsts), sizes)
        places = np.where(open_ & (reach == peaks), begins, _NEVER)
        same = open_ & (begins == np.repeat(np.minimum.reduceat(places, firsts), sizes))
        chosen |= same
        reach[same] = -np.inf
    heads = np.flatnonzero(chosen)
    return heads, peaks[heads]


def _ranked(spans: Spans, count: int) -> Spans:
    """Each span once, with its best score, and the `count` best of each row."""
    spans = spans.take(np.lexsort((-spans.scores, spans.ends, spans.starts, spans.rows)))
    keys = np.stack([spans.rows, spans.starts, spans.ends])
    fresh = (np.diff(keys, axis=1, prepend=-1) != 0).any(axis=0)
    spans = spans.take(np.flatnonzero(fresh))
    spans = spans.take(np.lexsort((spans.ends, spans.starts, -spans.scores, spans.rows)))
    return spans.take(np.flatnonzero(_ranks(spans.rows) < count))


def _ranks(rows: Places) -> Places:
    """[spans] how many of its row are before each; rows lie together."""
    _, firsts, sizes = np.unique(rows, return_index=True, return_counts=True)
    ranks: Places = np.arange(len(rows)) - np.repeat(firsts, sizes)
    return ranks


def _joined(parts: list[Spans]) -> Spans:
    none = np.zeros(0, np.int64)
    parts = [Spans(rows=none, starts=none, ends=none, scores=none.astype(np.float64)), *parts]
    return Spans(
        rows=np.concatenate([part.rows for part in parts]),
        starts=np.concatenate([part.starts for part in parts]),
        ends=np.concatenate([part.ends for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
    )
