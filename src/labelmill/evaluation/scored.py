"""The nouns of evaluation: scorers, scored rows, and the tables they give.

Most metrics depend on rows only through how often each *pattern* occurs: for a classifier a pattern
is a pair of gold label and label, for BLEU the n-gram counts of one row. So rows are kept as
pattern numbers, a metric is a function of counts, and a slice or a bootstrap sample is nothing but
other counts. Metrics that need the order of all scores (ROC-AUC, Spearman) are *ranked* instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Numbers = npt.NDArray[np.int64]
Patterns = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]
Values = dict[str, float]  # metric -> value; NaN where it is not defined
Cell = str | int | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of numbers with names, as JSON and pages show them."""

    name: str
    about: str  # one sentence
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def records(self) -> list[dict[str, Cell]]:
        """One mapping a row; None for what is not a number."""
        return [
            {name: plain(cell) for name, cell in zip(self.columns, row, strict=True)}
            for row in self.rows
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is to be said beside the numbers."""

    tables: tuple[Table, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)  # metric -> why
    notes: tuple[str, ...] = ()
    signatures: Mapping[str, str] = field(default_factory=dict)  # metric -> how it was computed


class Scored(Protocol):
    """Rows that were scored; every metric of any choice of them."""

    @property
    def patterns(self) -> Patterns:
        """[rows] the pattern of each."""
        ...

    @property
    def kinds(self) -> int:
        """How many patterns there are."""
        ...

    @property
    def sorts(self) -> int:
        """How often `ranked` sorts its rows; 0 where nothing is ranked."""
        ...

    def counted(self, counts: Numbers) -> Values:
        """Metrics of rows of which each pattern occurs so often; `counts` [kinds]."""
        ...

    def ranked(self, rows: Numbers) -> Values:
        """Metrics that need the rows themselves; `rows` are places, repeated where drawn twice."""
        ...

    def told(self) -> Told:
        """Tables and remarks over all rows."""
        ...


class Scorer(Protocol):
    """Takes in rows, batch by batch."""

    columns: Sequence[str]  # of the task's, without prefix; the first decides whether a row counts
    takes_null: bool  # whether a row whose first column is null is scored all the same
    takes_empty: bool  # whether an empty list is a gold value, and no gap
    gaps: Sequence[str]  # texts, without case and spaces around, that are none either

    def add(self, labelled: pa.Table, gold: pa.Array) -> None:
        """Rows with `columns` and their gold values, none of them null.

        Raises ConfigError where the gold column has a type that this kind of answer cannot have.
        """
        ...

    def scored(self) -> Scored:
        """All that was taken in; at least one row."""
        ...


def plain(cell: Cell) -> Cell:
    """The value as JSON has it: None for NaN and infinities."""
    return None if isinstance(cell, float) and not np.isfinite(cell) else cell


def ratio(above: npt.ArrayLike, below: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Above / below, 0 where below is 0, as scikit-learn's `zero_division=0`."""
    top, bottom = np.asarray(above, np.float64), np.asarray(below, np.float64)
    return np.divide(top, bottom, out=np.zeros(np.broadcast(top, bottom).shape), where=bottom != 0)
