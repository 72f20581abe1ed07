"""Resampling: bootstrap confidence intervals, by drawing rows with replacement.

The interval is between the percentiles of the metric over many samples as large as the data (Efron
and Tibshirani 1993, chapter 13). A seed makes it repeatable.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from labelmill.evaluation.scored import Numbers, Scored, Values

LEVEL = 0.95
FEWEST = 100  # samples that say something of an interval
# Where samples are drawn row by row, or rows are sorted, as many are drawn as take about so many
# seconds, at what it costs on a slow core: a call, a row that is drawn, a row that is sorted.
_SECONDS, _CALL, _DRAWN, _SORTED = 30.0, 1e-4, 1e-7, 3e-7

Intervals = dict[str, tuple[float, float]]


def intervals(scored: Scored, resamples: int, seed: int) -> tuple[Intervals, tuple[str, ...]]:
    """Metric -> lower and upper end, and what is to be said where fewer samples had to do.

    A metric that is undefined in a sample (NaN, or not there) does without that sample.
    """
    if not resamples:
        return {}, ()
    said, rows = [], len(scored.patterns)
    drawn = min(resamples, max(FEWEST, _most(_DRAWN * rows))) if _one_by_one(scored) else resamples
    ends = _ends([scored.counted(counts) for counts in samples(scored, drawn, seed)])
    if drawn < resamples:
        said.append(f"intervals are from {drawn:,} samples, which took long enough")
    if scored.sorts:
        fewer = min(resamples, _most(scored.sorts * (_CALL + _SORTED * rows)))
        if fewer < min(FEWEST, resamples):
            said.append("metrics that sort rows have no interval: there are too many rows")
            return ends, tuple(said)
        ends |= _ends(_ranked(scored, fewer, seed))
        if fewer < resamples:
            said.append(f"intervals of metrics that sort rows are from {fewer:,} samples")
    return ends, tuple(said)


def samples(scored: Scored, resamples: int, seed: int) -> Iterator[Numbers]:
    """Counts [kinds] of each sample.

    Few patterns are drawn from their multinomial distribution, many row by row; the distribution of
    the counts is the same.
    """
    drawn, rows = np.random.default_rng((seed, 0)), len(scored.patterns)
    counts = np.bincount(scored.patterns, minlength=scored.kinds)
    for _ in range(resamples):
        if _one_by_one(scored):
            chosen = scored.patterns[drawn.integers(rows, size=rows)]
            yield np.bincount(chosen, minlength=scored.kinds)
        else:
            yield drawn.multinomial(rows, counts / rows)


def _one_by_one(scored: Scored) -> bool:
    """Whether drawing rows costs less than drawing how often each pattern occurs."""
    return scored.kinds * 16 > len(scored.patterns)


def _most(seconds: float) -> int:
    """How many samples may be drawn that take so long."""
    return int(_SECONDS / seconds)


def _ranked(scored: Scored, resamples: int, seed: int) -> list[Values]:
    drawn, rows = np.random.default_rng((seed, 1)), len(scored.patterns)
    return [scored.ranked(drawn.integers(rows, size=rows)) for _ in range(resamples)]


def _ends(found: Sequence[Values]) -> Intervals:
    tail = 100 * (1 - LEVEL) / 2
    ends: Intervals = {}
    for name in dict.fromkeys(name for each in found for name in each):
        values = np.array([each.get(name, np.nan) for each in found])
        values = values[np.isfinite(values)]
        if len(values):
            low, high = np.percentile(values, [tail, 100 - tail])
            ends[name] = (float(low), float(high))
    return ends
