"""Regression: a number a row, against a gold number. Memory: about 12 bytes a row.

Correlations by scipy.stats.spearmanr's and pearsonr's formulas; ties share their mean rank.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from labelmill.errors import ConfigError
from labelmill.evaluation import libraries
from labelmill.evaluation.scored import Numbers, Told, Values

METRICS = ("spearman", "pearson", "mae", "rmse", "r2")


class RegressionScorer:
    """See the module."""

    takes_null = False
    takes_empty = False

    def __init__(self, column: str) -> None:
        """`column`: of the task's, a number."""
        self.columns: Sequence[str] = (column,)
        self._gold: list[npt.NDArray[np.float64]] = []
        self._given: list[npt.NDArray[np.float64]] = []

    def add(self, labelled: pa.Table, gold: pa.Array) -> None:
        """See Scorer."""
        self._gold.append(_numbers(gold))
        given = labelled[self.columns[0]].combine_chunks().cast(pa.float64())
        self._given.append(given.to_numpy(zero_copy_only=False))

    def scored(self) -> "ScoredNumbers":
        """See Scorer."""
        return ScoredNumbers(np.concatenate(self._gold), np.concatenate(self._given))


class ScoredNumbers:
    """Rows of gold number and number, see Scored."""

    def __init__(self, gold: npt.NDArray[np.float64], given: npt.NDArray[np.float64]) -> None:
        """Both [rows]; a row where one is not finite is told and makes its metrics NaN."""
        self._gold, self._given = gold, given
        self.patterns = np.arange(len(gold), dtype=np.int32)
        self.kinds = len(gold)
        self.sorts = 2

    def counted(self, counts: Numbers) -> Values:
        """See Scored."""
        chosen = counts > 0
        weights = counts[chosen] / counts.sum()
        gold, given = self._gold[chosen], self._given[chosen]
        error = given - gold
        squared = float(weights @ error**2)
        return {
            "pearson": _correlation(gold, given, weights),
            "mae": float(weights @ np.abs(error)),
            "rmse": float(np.sqrt(squared)),
            "r2": 1 - squared / _variance(gold, weights),
        }

    def ranked(self, rows: Numbers) -> Values:
        """See Scored."""
        rank = libraries.load("scipy.stats").rankdata
        gold, given = rank(self._gold[rows]), rank(self._given[rows])
        return {"spearman": _correlation(gold, given, np.full(len(rows), 1 / len(rows)))}

    def told(self) -> Told:
        """See Scored."""
        bad = int((~np.isfinite(self._gold) | ~np.isfinite(self._given)).sum())
        notes = (f"{bad:,} rows hold a number that is not finite",) if bad else ()
        return Told(notes=notes)


def _numbers(gold: pa.Array) -> npt.NDArray[np.float64]:
    """Numbers, or the text of numbers, as CSV has them."""
    try:
        found = gold.cast(pa.float64(), safe=pt.is_string(gold.type))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ConfigError(
            f"--gold: is of type {gold.type}, expected a number in each row: {error}"
        ) from error
    numbers: npt.NDArray[np.float64] = found.to_numpy(zero_copy_only=False)
    return numbers


def _variance(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    """NaN where all values are one."""
    if values.min() == values.max():
        return float("nan")
    return float(weights @ (values - weights @ values) ** 2)


def _correlation(
    one: npt.NDArray[np.float64], other: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> float:
    """Pearson's, NaN where one of the two is constant."""
    apart = (one - weights @ one) * (other - weights @ other)
    return float((weights @ apart) / np.sqrt(_variance(one, weights) * _variance(other, weights)))
