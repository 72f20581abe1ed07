"""Masks: whether the token of each mask is the gold one, by the tokens that fill-mask lists.

Gold is a token, or a list with one for each mask of the row; a mask whose token is null is left
out. White space at the ends of tokens does not count. A row with more or fewer gold tokens than
masks is wrong for those that have no partner.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from labelmill.evaluation.scored import Told, Values
from labelmill.evaluation.statistics import ScoredStatistics, Sums, listed

METRICS = ("accuracy", "accuracy_listed")


class MaskScorer:
    """Numbers of a row: masks, those whose best token is right, those that list the right one."""

    takes_null = False
    takes_empty = False
    gaps: Sequence[str] = ("",)

    def __init__(self) -> None:
        self.columns: Sequence[str] = ("fills",)
        self._rows: list[Sums] = []

    def add(self, labelled: pa.Table, gold: pa.Array) -> None:
        """See Scorer."""
        pairs = zip(labelled["fills"].to_pylist(), listed(gold), strict=True)
        self._rows.append(np.array([_row(fills, golds) for fills, golds in pairs], np.float64))

    def scored(self) -> ScoredStatistics:
        """See Scorer."""
        return ScoredStatistics([self], [np.concatenate(self._rows)])

    def metrics(self, sums: Sums, rows: int) -> Values:
        """See Measure; shares of all masks, NaN where there is none."""
        del rows
        masks, *right = sums.tolist()
        shares = [count / masks if masks else float("nan") for count in right]
        return dict(zip(METRICS, shares, strict=True))

    def told(self, statistics: Sums) -> Told:
        """See Measure."""
        masks = int(statistics[:, 0].sum())
        return Told(notes=(f"{masks:,} masks; accuracy_listed: the gold token is in the list",))


def _row(fills: list[list[dict[str, str]]], golds: Sequence[str | None]) -> tuple[int, int, int]:
    pairs = [
        ([entry["token"].strip() for entry in tokens], gold.strip())
        for tokens, gold in zip(fills, golds, strict=False)
        if gold is not None
    ]
    masks = max(len(fills), len(golds)) - golds.count(None)
    best = sum(tokens[:1] == [gold] for tokens, gold in pairs)
    return masks, best, sum(gold in tokens for tokens, gold in pairs)
