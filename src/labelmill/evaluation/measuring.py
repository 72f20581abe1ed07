"""Measuring: every metric of scored rows, with its interval, and of their slices."""

import numpy as np

from labelmill.evaluation import resampling
from labelmill.evaluation.result import Measured, Slice
from labelmill.evaluation.scored import Numbers, Scored, Told, Values, plain
from labelmill.evaluation.slices import Slices

_NONE = (None, None)  # the ends of no interval
_UNDEFINED = "it is not defined for these rows"


def measured(scored: Scored, resamples: int, seed: int) -> tuple[dict[str, Measured], Told]:
    """Every metric over all rows with its interval, and what is to be said of them."""
    counts = np.bincount(scored.patterns, minlength=scored.kinds)
    values = scored.counted(counts) | scored.ranked(np.arange(len(scored.patterns)))
    ends, said = resampling.intervals(scored, resamples, seed)
    told = scored.told()
    metrics = {
        name: Measured(value=_finite(value), low=low, high=high)
        for name, value in values.items()
        for low, high in [ends.get(name, _NONE) if np.isfinite(value) else _NONE]
    }
    return metrics, Told(
        tables=tuple(table for table in told.tables if table.rows),
        left_out={name: _UNDEFINED for name, found in metrics.items() if found.value is None}
        | dict(told.left_out),
        notes=(*told.notes, *said),
        signatures=told.signatures,
    )


def sliced(scored: Scored, slices: Slices) -> tuple[Slice, ...]:
    """Every metric of each slice."""
    return tuple(
        Slice(value=value, rows=len(rows), metrics=_values(scored, rows))
        for value, rows in slices.rows().items()
    )


def _values(scored: Scored, rows: Numbers) -> dict[str, float | None]:
    counts = np.bincount(scored.patterns[rows], minlength=scored.kinds)
    values: Values = scored.counted(counts) | scored.ranked(rows)
    return {name: _finite(value) for name, value in values.items()}


def _finite(value: float) -> float | None:
    found = plain(value)
    return None if found is None else float(found)
