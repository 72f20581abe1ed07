"""Statistics: texts scored by numbers of each row that are summed before they become a metric.

BLEU divides the n-grams of all rows that match by those of all rows, WER the errors by the words;
what is a mean over rows (ROUGE, SQuAD's F1) sums the rows' own values. Memory: 8 bytes a number and
row: 40 for answers and ROUGE, 64 for transcripts, 230 for BLEU with chrF, and twice that while it
is put together.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from labelmill.errors import ConfigError
from labelmill.evaluation.scored import Numbers, Told, Values

Sums = npt.NDArray[np.float64]


class Measure(Protocol):
    """One or several metrics from the same numbers."""

    def statistics(self, text: str, golds: Sequence[str]) -> Sequence[float]:
        """The numbers of a row; always as many. `golds` are equally good alternatives."""
        ...

    def metrics(self, sums: Sums, rows: int) -> Values:
        """The metrics of so many rows whose numbers have these sums."""
        ...

    def told(self, statistics: Sums) -> Told:
        """Remarks, from the numbers [rows, numbers] of all rows."""
        ...


class TextScorer:
    """A text a row, against one gold text or several of which any will do."""

    def __init__(
        self, column: str, measures: Sequence[Measure], *, may_be_empty: bool = False
    ) -> None:
        """`may_be_empty`: a null text, or an empty list of gold texts, is an answer: none."""
        self.columns: Sequence[str] = (column,)
        self.takes_null = self.takes_empty = may_be_empty
        self.gaps: Sequence[str] = ()
        self._measures = measures
        self._chunks: list[list[Sums]] = [[] for _ in measures]

    def add(self, labelled: pa.Table, gold: pa.Array) -> None:
        """See Scorer."""
        texts = [text or "" for text in labelled[self.columns[0]].to_pylist()]
        golds = alternatives(gold)
        for measure, chunks in zip(self._measures, self._chunks, strict=True):
            found = [
                measure.statistics(text, several)
                for text, several in zip(texts, golds, strict=True)
            ]
            if found:
                chunks.append(np.array(found, np.float64))

    def scored(self) -> "ScoredStatistics":
        """See Scorer."""
        return ScoredStatistics(self._measures, [np.concatenate(each) for each in self._chunks])


class Summed(Protocol):
    """What `ScoredStatistics` wants of a measure."""

    def metrics(self, sums: Sums, rows: int) -> Values:
        """See Measure."""
        ...

    def told(self, statistics: Sums) -> Told:
        """See Measure."""
        ...


class ScoredStatistics:
    """Rows of numbers, see Scored."""

    def __init__(self, measures: Sequence[Summed], statistics: Sequence[Sums]) -> None:
        """Of each measure its numbers [rows, numbers]."""
        self._measures, self._statistics = measures, statistics
        self.kinds = len(statistics[0])
        self.patterns = np.arange(self.kinds, dtype=np.int32)
        self.sorts = 0

    def counted(self, counts: Numbers) -> Values:
        """See Scored."""
        weights, rows = counts.astype(np.float64), int(counts.sum())
        values: Values = {}
        for measure, statistics in zip(self._measures, self._statistics, strict=True):
            values |= measure.metrics(weights @ statistics, rows)
        return values

    def ranked(self, rows: Numbers) -> Values:
        """See Scored."""
        del rows
        return {}

    def told(self) -> Told:
        """See Scored."""
        parts = [
            measure.told(statistics)
            for measure, statistics in zip(self._measures, self._statistics, strict=True)
        ]
        signatures = {name: said for part in parts for name, said in part.signatures.items()}
        return Told(
            tables=tuple(table for part in parts for table in part.tables),
            notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
            signatures=signatures,
        )


def texts_of(gold: pa.Array) -> pa.Array:
    """Gold values; of a struct with `text`, as SQuAD has it, that."""
    if pt.is_struct(gold.type) and gold.type.get_field_index("text") >= 0:
        return pc.struct_field(gold, "text")  # null where the struct is
    return gold


def alternatives(gold: pa.Array) -> list[list[str]]:
    """The gold texts of each row; raises ConfigError for another type."""
    return [[text for text in several if text is not None] for several in listed(gold)]


def listed(gold: pa.Array) -> list[list[str | None]]:
    """The gold texts of each row, nulls where they stand; raises ConfigError for another type."""
    gold = texts_of(gold)
    if pt.is_string(gold.type) or pt.is_large_string(gold.type):
        return [[text] for text in gold.to_pylist()]
    if (pt.is_list(gold.type) or pt.is_large_list(gold.type)) and (
        pt.is_string(gold.type.value_type)
        or pt.is_large_string(gold.type.value_type)
        or pt.is_null(gold.type.value_type)
    ):
        return [several or [] for several in gold.to_pylist()]
    raise ConfigError(
        f"--gold: is of type {gold.type}, expected a text, or a list of texts of which any will "
        "do, in each row"
    )
