"""Regression: a number a row, against a gold number. Memory: about 90 bytes a row.

Correlations by scipy.stats.spearmanr's and pearsonr's formulas; ties share their mean rank.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from labelmill.errors import ConfigError
from labelmill.evaluation import libraries
from labelmill.evaluation.scored import Numbers, Told, Values

METRICS = ("spearman", "pearson", "mae", "rmse", "r2")


class RegressionScorer:
    """See the module."""

    takes_null = False
    takes_empty = False
    gaps: Sequence[str] = ("", "nan")

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
        """Both [rows]; a row where one is not finite is told, and all but Spearman's become NaN."""
        self._gold, self._given = gold, given
        self._moments = _moments(gold, given)
        self._finite = bool(np.isfinite(self._moments).all())
        self.patterns = np.arange(len(gold), dtype=np.int32)
        self.kinds = len(gold)
        self.sorts = 2

    def counted(self, counts: Numbers) -> Values:
        """See Scored."""
        weights, moments = counts.astype(np.float64), self._moments
        if not self._finite:  # 0 times NaN is NaN: rows that are not drawn must not be there
            weights, moments = weights[counts > 0], moments[counts > 0]
        means = (weights @ moments) / counts.sum()
        gold, given, gold_square, given_square, product, error, error_square = means.tolist()
        spread, other = _variance(gold, gold_square), _variance(given, given_square)
        return {
            # Each root by itself: of numbers near 1e-90 the product would be 0.
            "pearson": (product - gold * given) / (math.sqrt(spread) * math.sqrt(other)),
            "mae": error,
            "rmse": math.sqrt(error_square),
            "r2": 1 - error_square / spread,
        }

    def ranked(self, rows: Numbers) -> Values:
        """See Scored."""
        rank = libraries.load("scipy.stats").rankdata
        gold, given = rank(self._gold[rows]), rank(self._given[rows])
        if np.ptp(gold) == 0 or np.ptp(given) == 0:
            return {"spearman": float("nan")}
        return {"spearman": float(np.corrcoef(gold, given)[0, 1])}

    def told(self) -> Told:
        """See Scored."""
        bad = int((~np.isfinite(self._gold) | ~np.isfinite(self._given)).sum())
        notes = (f"{bad:,} rows hold a number that is not finite",) if bad else ()
        return Told(notes=notes)


def _numbers(gold: pa.Array) -> npt.NDArray[np.float64]:
    """Numbers, or the text of numbers, as CSV has them."""
    try:
        is_text = pt.is_string(gold.type) or pt.is_large_string(gold.type)
        gold = pc.utf8_trim_whitespace(gold) if is_text else gold
        found = gold.cast(pa.float64(), safe=is_text)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ConfigError(
            f"--gold: is of type {gold.type}, expected a number in each row: {error}"
        ) from error
    numbers: npt.NDArray[np.float64] = found.to_numpy(zero_copy_only=False)
    return numbers


def _moments(
    gold: npt.NDArray[np.float64], given: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """[rows, 7] numbers whose means all metrics but Spearman's are made of.

    Both are taken from the middle of theirs, so that a large offset costs no digits.
    """
    one, other, error = gold - _middle(gold), given - _middle(given), np.abs(given - gold)
    with np.errstate(over="ignore"):  # of numbers beyond 1e154 the squares are infinite
        return np.stack([one, other, one**2, other**2, one * other, error, error**2], axis=1)


def _middle(numbers: npt.NDArray[np.float64]) -> float:
    finite = numbers[np.isfinite(numbers)]
    return float(np.median(finite)) if len(finite) else 0.0


def _variance(mean: float, square: float) -> float:
    """Of the mean and the mean of squares; NaN where it is but their rounding: a constant."""
    found = square - mean * mean  # not mean**2, which raises where it is too large
    return found if found > 1e-13 * square else float("nan")
