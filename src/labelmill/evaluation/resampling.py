"""Resampling: bootstrap confidence intervals, by drawing rows with replacement.

The interval is between the percentiles of the metric over many samples as large as the data (Efron
and Tibshirani 1993, chapter 13). A seed makes it repeatable.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from labelmill.evaluation.scored import Numbers, Scored, Values

LEVEL = 0.95
FEWEST = 100  # samples that say something of an interval
# Metrics that sort rows are drawn as often as takes about so many seconds, at the cost of a sort on
# a slow core: that of a call, and that of a row.
_SECONDS, _CALL, _ROW = 30.0, 1e-4, 3e-7

Intervals = dict[str, tuple[float, float]]


def intervals(scored: Scored, resamples: int, seed: int) -> tuple[Intervals, tuple[str, ...]]:
    """Metric -> lower and upper end, and what is to be said of those that were drawn less often.

    A metric that is undefined in a sample (NaN) does without that sample.
    """
    if not resamples:
        return {}, ()
    ends = _ends([scored.counted(counts) for counts in samples(scored, resamples, seed)])
    if not scored.sorts:
        return ends, ()
    rows = len(scored.patterns)
    fewer = min(resamples, affordable(rows, scored.sorts))
    if fewer < min(FEWEST, resamples):
        return ends, ("metrics that sort rows have no interval: there are too many to draw often",)
    drawn = np.random.default_rng((seed, 1))
    sorts = [scored.ranked(drawn.integers(rows, size=rows)) for _ in range(fewer)]
    said = f"intervals of metrics that sort rows are from {fewer:,} samples, which took long enough"
    return ends | _ends(sorts), (said,) if fewer < resamples else ()


def affordable(rows: int, sorts: int) -> int:
    """How many samples of so many rows may be sorted so often."""
    return int(_SECONDS / (sorts * (_CALL + _ROW * rows)))


def samples(scored: Scored, resamples: int, seed: int) -> Iterator[Numbers]:
    """Counts [kinds] of each sample.

    Few patterns are drawn from their multinomial distribution, many row by row; the distribution of
    the counts is the same.
    """
    drawn, rows = np.random.default_rng((seed, 0)), len(scored.patterns)
    counts = np.bincount(scored.patterns, minlength=scored.kinds)
    for _ in range(resamples):
        if scored.kinds * 16 <= rows:
            yield drawn.multinomial(rows, counts / rows)
        else:
            chosen = scored.patterns[drawn.integers(rows, size=rows)]
            yield np.bincount(chosen, minlength=scored.kinds)


def _ends(found: Sequence[Values]) -> Intervals:
    tail = 100 * (1 - LEVEL) / 2
    ends: Intervals = {}
    for name in found[0]:
        values = np.array([each[name] for each in found])
        values = values[np.isfinite(values)]
        if len(values):
            low, high = np.percentile(values, [tail, 100 - tail])
            ends[name] = (float(low), float(high))
    return ends
