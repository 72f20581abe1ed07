"""Tally: the sums over all receipts that count, and what few of them say about the run as a whole.

It promises flat memory: sums, one interval and one self-check an attempt, and at most a thousand
reasons of rejects by name and damaged pieces.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from labelmill.ledger.attempts import Attempt
from labelmill.ledger.receipt import Entry, PlacedBreak, placed_breaks

OTHER = "(other reasons)"
_REASONS = 1_000
DAMAGE_KEPT = 1_000
_SUMS = ("rows_read", "rows_labelled", "rows_rejected", "rows_written", "tokens", "padded_tokens")
_NEWER = ("rows_repeated", "tokens_repeated")  # in old receipts they are not: nothing was saved


class Tally:
    """Counts each entry that it is given."""

    def __init__(self) -> None:
        self.splits = 0
        self.sums = dict.fromkeys((*_SUMS, *_NEWER), 0)
        self.stage_seconds: dict[str, float] = {}
        self.reasons: Counter[str] = Counter()
        self.damage: list[PlacedBreak] = []
        self.last_commit: dict[str, float] = {}  # attempt -> unix seconds
        self.agreement: dict[str, Mapping[str, Any]] = {}  # attempt -> its worst self-check
        self.replica: dict[str, Mapping[str, Any]] = {}  # attempt -> what its latest split ran on

    def add(self, entry: Entry) -> None:
        """Count one receipt."""
        self.splits += 1
        sums = self.sums
        for name in _SUMS:
            sums[name] += entry[name]
        for name in _NEWER:
            sums[name] += entry.get(name, 0)
        for stage, seconds in entry["seconds"].items():
            self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + seconds
        for reason, count in entry["reasons"].items():
            self._reject(reason, count)
        if entry["breaks"] and len(self.damage) < DAMAGE_KEPT:
            self.damage += placed_breaks(entry)
        self._tell(entry)

    def _reject(self, reason: str, count: int) -> None:
        known = reason in self.reasons or len(self.reasons) < _REASONS
        self.reasons[reason if known else OTHER] += count

    def _tell(self, entry: Entry) -> None:
        attempt = entry["attempt"]
        self.last_commit[attempt] = max(self.last_commit.get(attempt, 0.0), entry["time"])
        self.replica[attempt] = entry["replica"]
        found, worst = entry["agreement"], self.agreement.get(attempt)
        if found is not None and (worst is None or found["agreement"] < worst["agreement"]):
            self.agreement[attempt] = found

    def seconds(self, attempts: Iterable[Attempt]) -> float:
        """Wall seconds in which at least one attempt worked: from its start to its last commit."""
        covered, until = 0.0, float("-inf")
        for attempt in sorted(attempts, key=lambda each: each.started):
            stop = self.last_commit.get(attempt.name, attempt.started)
            covered += max(0.0, stop - max(attempt.started, until))
            until = max(until, stop)
        return covered
