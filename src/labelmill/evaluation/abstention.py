"""Abstention: answers and no answers, and how much better no answer must be to be given.

A run that may give none and lists its answers has the score of no answer beside that of the best
span. So every `options.null_threshold` can be tried on its rows, as the script of SQuAD 2.0 does
(best_exact_thresh, best_f1_thresh). Memory: 80 bytes a row.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from labelmill.evaluation.answering import Squad
from labelmill.evaluation.scored import Table, Told, Values
from labelmill.evaluation.statistics import ScoredStatistics, Sums, alternatives

_SQUAD = 5  # numbers of a row as `Squad` has them; then these
_MARGIN, _EXACT_NONE, _F1_NONE, _EXACT_SPAN, _F1_SPAN = range(_SQUAD, _SQUAD + 5)

_FAR = 1e6  # a margin beyond all there are: scores are in float32, so those end at 104 or so

Answer = Mapping[str, Any]  # one of the list


class AbstainingScorer:
    """Numbers of a row: those of `Squad`; how much no answer is better; what either is worth."""

    takes_null = True
    takes_empty = True
    gaps: Sequence[str] = ()

    def __init__(self) -> None:
        self.columns: Sequence[str] = ("answer", "answers")
        self._squad = Squad()
        self._rows: list[Sums] = []

    def add(self, labelled: pa.Table, gold: pa.Array) -> None:
        """See Scorer."""
        given, listed = (labelled[name].to_pylist() for name in self.columns)
        found = [
            self._row(answer or "", answers or (), golds)
            for answer, answers, golds in zip(given, listed, alternatives(gold), strict=True)
        ]
        if found:
            self._rows.append(np.array(found, np.float64))

    def scored(self) -> ScoredStatistics:
        """See Scorer."""
        return ScoredStatistics([self], [np.concatenate(self._rows)])

    def metrics(self, sums: Sums, rows: int) -> Values:
        """See Measure."""
        return self._squad.metrics(sums[:_SQUAD], rows)

    def told(self, statistics: Sums) -> Told:
        """See Measure; a table only where there are rows with and without a gold answer."""
        told = self._squad.told(statistics[:, :_SQUAD])
        if len(np.unique(statistics[:, 2])) == 1:
            return told
        notes = list(told.notes)
        if unknown := int((statistics[:, _MARGIN] <= -_FAR).sum()):
            notes.append(
                f"{unknown:,} rows do not list no answer; options.answers was too low for them"
            )
        return Told(tables=(_thresholds(statistics),), notes=tuple(notes))

    def _row(self, answer: str, answers: Sequence[Answer], golds: Sequence[str]) -> list[float]:
        none = next((one for one in answers if one["start"] is None), None)
        span = next((one for one in answers if one["start"] is not None), None)
        worth_none = self._squad.statistics("", golds)
        worth_span = worth_none if span is None else self._squad.statistics(span["answer"], golds)
        either = (*worth_none[:2], *worth_span[:2])
        return [*self._squad.statistics(answer, golds), _margin(none, span), *either]


def _margin(none: Answer | None, span: Answer | None) -> float:
    """Logarithm of the score of no answer over the span's; far off where one is not there."""
    if span is None or not span["score"]:
        return _FAR
    if none is None or not none["score"]:
        return -_FAR
    return math.log(none["score"] / span["score"])


def _thresholds(statistics: Sums) -> Table:
    margins = statistics[:, _MARGIN]
    return Table(
        name="null_thresholds",
        about="The options.null_threshold that is best by each metric; it was chosen on these "
        "very rows.",
        columns=("metric", "best_threshold", "best_value"),
        rows=tuple(
            (name, *best_threshold(margins, statistics[:, none], statistics[:, span]))
            for name, none, span in (
                ("exact_match", _EXACT_NONE, _EXACT_SPAN),
                ("f1", _F1_NONE, _F1_SPAN),
            )
        ),
    )


def best_threshold(margins: Sums, nones: Sums, spans: Sums) -> tuple[float, float]:
    """The threshold, and the mean that it gives: none where the margin is above it, else the span.

    All [rows]. The lowest of equally good ones; it lies in the middle between two margins.
    """
    order = np.argsort(margins, kind="stable")
    ranked = np.concatenate([[-_FAR], margins[order], [_FAR]])
    means = np.append(0.0, np.cumsum((spans - nones)[order])) + nones.sum()
    # Cut n leaves n rows below. Not between equal ones, nor among those that are far off.
    means[ranked[1:] <= ranked[:-1]] = -np.inf
    cut = int(means.argmax())
    return _between(ranked[cut], ranked[cut + 1]), float(means[cut]) / len(margins)


def _between(below: float, above: float) -> float:
    """The middle of two margins; beyond the last, one further."""
    if below <= -_FAR:
        return float(above) - 1.0 if above < _FAR else 0.0
    return float(below) + 1.0 if above >= _FAR else float(below + above) / 2
