"""Agreement: the self-check of reduced precision against float32, by each replica on a sample.

The job stops only where a sample proves, at 99% confidence, that fewer rows agree than the job
file asks for: one flipped label among 64 is chance, four are not. A sample that proves it at 95%
would come up in every long job of a hundred replicas.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from labelmill.batch import Encoded
from labelmill.errors import EngineError

SAMPLE = 64  # rows
_DOUBT = 0.01


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
    """What the ledger keeps.

    Rows compared, share that agrees and rows that do not (`flips`), largest and 99th-percentile
    difference of a score; where a threshold decides which labels a row gets, how many are given by
    one precision and not by the other (`threshold_flips`).
    """
    total = len(agrees)
    differences = _differences(ours, reference)
    found = {
        "rows": float(total),
        "agreement": float(agrees.mean()) if total else 1.0,
        "flips": float(total - agrees.sum()),
        "largest_difference": float(differences.max(initial=0.0)),
        "p99_difference": float(np.quantile(differences, 0.99)) if len(differences) else 0.0,
    }
    if any(name in ours.column_names and _listed(ours, name) for name in _GIVEN):
        found["threshold_flips"] = float(_threshold_flips(ours, reference))
    return found


def require(found: Mapping[str, float], wanted: float, precision: str) -> None:
    """Raise EngineError where the share of the sample is below `wanted`; see `enforce`."""
    if found["agreement"] < wanted:
        raise EngineError(_refusal(found, wanted, precision))


def enforce(found: Mapping[str, float], wanted: float, precision: str) -> None:
    """Raise EngineError where the sample proves that agreement is below `wanted`."""
    total = int(found["rows"])
    flips = round(total * (1 - found["agreement"]))
    if flips and _chance(total, flips, 1 - wanted) < _DOUBT:
        raise EngineError(_refusal(found, wanted, precision))


def _refusal(found: Mapping[str, float], wanted: float, precision: str) -> str:
    total = int(found["rows"])
    same = round(total * found["agreement"])
    exact = "'float32'" if precision != "int8" else "'auto'"
    return (
        f"{precision} and float32 gave the same label for only {same} of {total} "
        f"sampled rows, expected a share of at least {wanted}; set model.precision to "
        f"{exact} and use a new output directory, or lower model.min_agreement"
    )


def _chance(total: int, flips: int, rate: float) -> float:
    """The binomial probability of at least so many flips at the given rate."""
    terms = (math.comb(total, k) * rate**k * (1 - rate) ** (total - k) for k in range(flips))
    return 1.0 - math.fsum(terms)


_GIVEN = ("label", "entities")  # lists of what reaches a threshold


def _listed(table: pa.Table, name: str) -> bool:
    return bool(pa.types.is_list(table[name].type) or pa.types.is_large_list(table[name].type))


def _differences(ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.float64]:
    """Of each score that both give; of lists, where both are of the same labels."""
    if "score" not in ours.column_names:
        return np.zeros(0)
    columns = [
        {"score": table["score"].to_pylist(), "label": _column(table, "label")}
        for table in (ours, reference)
    ]
    pairs = [
        pair
        for one, other, label, other_label in zip(
            *(column["score"] for column in columns),
            *(column["label"] for column in columns),
            strict=True,
        )
        if one is not None and other is not None
        for pair in _pairs(one, other, same=label == other_label)
    ]
    found = np.abs(np.diff(np.array(pairs, np.float64).reshape(-1, 2), axis=1)[:, 0])
    return found[np.isfinite(found)]  # a number that is none is a reject


def _pairs(one: Any, other: Any, *, same: bool) -> Iterable[tuple[float, float]]:
    if not isinstance(one, list):
        return [(one, other)]
    return zip(one, other, strict=True) if same and len(one) == len(other) else ()


def _column(table: pa.Table, name: str) -> list[Any]:
    found: list[Any] = (
        table[name].to_pylist() if name in table.column_names else [None] * table.num_rows
    )
    return found


def _threshold_flips(ours: pa.Table, reference: pa.Table) -> int:
    """Labels, or entities with their places, that one has and the other has not."""
    name = next(name for name in _GIVEN if name in ours.column_names)
    pairs = zip(ours[name].to_pylist(), reference[name].to_pylist(), strict=True)
    return sum(len(_things(one) ^ _things(other)) for one, other in pairs)


def _things(listed: list[Any] | None) -> set[Any]:
    return {
        (each["label"], each["start"], each["end"]) if isinstance(each, dict) else each
        for each in listed or ()
    }
