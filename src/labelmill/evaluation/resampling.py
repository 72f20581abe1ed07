"""Resampling: bootstrap confidence intervals, by drawing rows with replacement.

The interval is between the percentiles of the metric over many samples as large as the data (Efron
and Tibshirani 1993, chapter 13). A seed makes it repeatable.
"""

from collections.abc import Iterator

import numpy as np

from labelmill.evaluation.scored import Numbers, Scored, Values

LEVEL = 0.95
# Rows drawn in all, beyond which metrics that sort rows get no interval: about a minute.
MOST_RANKED = 10_000_000

Intervals = dict[str, tuple[float, float]]


def intervals(scored: Scored, resamples: int, seed: int) -> tuple[Intervals, tuple[str, ...]]:
    """Metric -> lower and upper end, and the metrics that got none because it would take too long.

    A metric that is undefined in a sample (NaN) does without that sample.
    """
    rows = np.arange(len(scored.patterns))
    ranked = tuple(scored.ranked(rows))
    if not resamples:
        return {}, ()
    if ranked and len(rows) * resamples * len(ranked) > MOST_RANKED:
        return _ends(_counted(scored, resamples, seed)), ranked
    drawn = np.random.default_rng((seed, 1))
    sorts = (
        scored.ranked(drawn.integers(len(rows), size=len(rows)))
        for _ in range(resamples if ranked else 0)
    )
    return _ends(_counted(scored, resamples, seed)) | _ends(sorts), ()


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


def _counted(scored: Scored, resamples: int, seed: int) -> Iterator[Values]:
    return (scored.counted(counts) for counts in samples(scored, resamples, seed))


def _ends(found: Iterator[Values]) -> Intervals:
    listed = list(found)
    if not listed:
        return {}
    tail = 100 * (1 - LEVEL) / 2
    ends: Intervals = {}
    for name in listed[0]:
        values = np.array([each[name] for each in listed])
        values = values[np.isfinite(values)]
        if len(values):
            low, high = np.percentile(values, [tail, 100 - tail])
            ends[name] = (float(low), float(high))
    return ends
