"""Agreement: the self-check of reduced precision against float32 on a sample of the first split.

The job stops only where the sample proves, at 95% confidence, that fewer rows agree than the job
file asks for: one flipped label among 64 is chance, five are not.
"""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from labelmill.batch import Encoded
from labelmill.errors import EngineError

SAMPLE = 64  # rows
_DOUBT = 0.05


def sample(rows: int) -> npt.NDArray[np.int64]:
    """Up to SAMPLE row numbers, evenly spread over a split."""
    return np.unique(np.linspace(0, max(rows - 1, 0), min(rows, SAMPLE)).astype(np.int64))


def part_of(encoded: Encoded, rows: npt.NDArray[np.int64]) -> Encoded:
    """The sequences of some rows, the rows numbered anew from 0."""
    chosen = np.flatnonzero(np.isin(encoded.rows, rows))
    return encoded.take(chosen, np.searchsorted(rows, encoded.rows[chosen]).astype(np.int32))


def record(
    agrees: npt.NDArray[np.bool_], ours: pa.Table, reference: pa.Table
) -> Mapping[str, float]:
    """What the ledger keeps: rows compared, share that agrees, largest difference of a score."""
    total = len(agrees)
    return {
        "rows": float(total),
        "agreement": float(agrees.mean()) if total else 1.0,
        "largest_difference": _difference(ours, reference),
    }


def enforce(found: Mapping[str, float], wanted: float, precision: str) -> None:
    """Raise EngineError where the sample proves that agreement is below `wanted`."""
    total = int(found["rows"])
    flips = round(total * (1 - found["agreement"]))
    if flips and _chance(total, flips, 1 - wanted) < _DOUBT:
        raise EngineError(
            f"{precision} and float32 gave the same label for only {total - flips} of {total} "
            f"sampled rows, expected a share of at least {wanted}; set model.precision to "
            "'float32' and use a new output directory, or lower model.min_agreement"
        )


def _chance(total: int, flips: int, rate: float) -> float:
    """The binomial probability of at least so many flips at the given rate."""
    terms = (math.comb(total, k) * rate**k * (1 - rate) ** (total - k) for k in range(flips))
    return 1.0 - math.fsum(terms)


def _difference(ours: pa.Table, reference: pa.Table) -> float:
    if "score" not in ours.column_names or not pa.types.is_floating(ours["score"].type):
        return 0.0
    pairs = ours["score"].to_numpy(), reference["score"].to_numpy()
    return float(np.nanmax(np.abs(pairs[0] - pairs[1]), initial=0.0))
