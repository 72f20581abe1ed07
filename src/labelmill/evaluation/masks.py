"""Masks: whether the token of each mask is the gold one, by the tokens that fill-mask lists.

Gold is a token, or a list with one for each mask of the row. White space at the ends of tokens does
not count. A row with more or fewer gold tokens than masks is wrong for those that have no partner.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from labelmill.evaluation.scored import Told, Values
from labelmill.evaluation.statistics import ScoredStatistics, Sums, alternatives

METRICS = ("accuracy", "accuracy_listed")


class MaskScorer:
    """Numbers of a row: masks, those whose best token is right, those that list the right one."""

    takes_null = False
    takes_empty = False

    def __init__(self) -> None:
        self.columns: Sequence[str] = ("fills",)
        self._rows: list[Sums] = []

    def add(self, labelled: pa.Table, gold: pa.Array) -> None:
        """See Scorer."""
        pairs = zip(labelled["fills"].to_pylist(), alternatives(gold), strict=True)
        self._rows.append(np.array([_row(fills, golds) for fills, golds in pairs], np.float64))

    def scored(self) -> ScoredStatistics:
        """See Scorer."""
        return ScoredStatistics([self], [np.concatenate(self._rows)])

    def metrics(self, sums: Sums, rows: int) -> Values:
        """See Measure; shares of all masks."""
        del rows
        masks, best, listed = sums.tolist()
        return {"accuracy": best / masks, "accuracy_listed": listed / masks}

    def told(self, statistics: Sums) -> Told:
        """See Measure."""
        masks = int(statistics[:, 0].sum())
        return Told(notes=(f"{masks:,} masks; accuracy_listed: the gold token is in the list",))


def _row(fills: list[list[dict[str, str]]], golds: Sequence[str]) -> tuple[int, int, int]:
    pairs = [
        ([entry["token"].strip() for entry in listed], gold.strip())
        for listed, gold in zip(fills, golds, strict=False)
    ]
    best = sum(tokens[:1] == [gold] for tokens, gold in pairs)
    return max(len(fills), len(golds)), best, sum(gold in tokens for tokens, gold in pairs)
