"""Outlook: how far a job is, how fast, and how long it will still take.

Rows of Parquet are known from footers. Of JSON Lines only bytes are, so rows are projected from the
rows and bytes done so far; of a compressed shard the bytes count when it is finished. Before the
first of them there is no projection. What earlier attempts have done counts like the rest; a shard
that is damaged tells nothing of the others, and what is behind the damage is not expected.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from labelmill.ledger.coverage import ShardCoverage
from labelmill.ledger.receipt import Receipt
from labelmill.splits import Shard

_SHORTER = 10  # times, at the worst: rows to come may not be like those that came
_OF_BYTES = ("jsonl", "csv", "tsv")  # formats whose positions are bytes
_COMPRESSED = (".gz", ".zst", ".zstd", ".bz2", ".xz")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One look at a running job."""

    rows: int  # committed or predicted, of the whole run
    rejected: int
    share: float | None  # of all rows, 0..1; None where nobody can know yet
    rows_per_second: float  # of this attempt
    tokens_per_second: float
    seconds: float  # since this attempt began to label
    left: float | None  # seconds, of what this driver takes


class Outlook:
    """Counts receipts and looks ahead."""

    def __init__(
        self,
        shards: Mapping[str, Shard],
        *,
        rows_total: int | None,
        before: Iterable[tuple[str, ShardCoverage]] = (),
        mine: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`before`: what is done of each shard; `mine`: of what is not, this driver's share."""
        self._shards = shards
        self._rows_total = rows_total
        self._bytes_total = sum(shard.size for shard in shards.values())
        self._clock = clock
        self._start = clock()
        self._mine = mine
        self._rows_before = 0
        self.rows = 0  # committed in this attempt
        self.rejected = 0  # of the whole run
        self._tokens = 0
        self._rows: dict[str, int] = {}  # of each shard of which no bytes are counted yet
        self._counted: dict[str, int] = {}  # bytes of each other shard
        self._bytes_counted = self._rows_counted = 0  # sums: shards are many, and looks too
        self._apart: set[str] = set()  # damaged shards
        self._rows_apart = 0
        self._flying = (0, 0)
        for path, known in before:
            self._rows_before += known.rows_read
            self.rejected += known.rows_rejected
            if known.splits and path in shards:
                self._resume(shards[path], known)

    def committed(self, receipt: Receipt) -> None:
        """A part is in its place."""
        self.rows += receipt.rows_read
        self.rejected += receipt.rows_rejected
        self._tokens += receipt.tokens
        shard = self._shards[receipt.split.shard]
        name = shard.path
        if receipt.breaks:
            self._set_apart(shard)
        if name in self._apart:
            self._rows_apart += receipt.rows_read
        elif receipt.split.last:
            self._count(name, shard.size - self._counted.get(name, 0), receipt.rows_read)
        elif _of_bytes(shard):
            self._count(name, receipt.split.stop - receipt.split.start, receipt.rows_read)
        elif name in self._counted:
            self._rows_counted += receipt.rows_read
        else:
            self._rows[name] = self._rows.get(name, 0) + receipt.rows_read

    def _resume(self, shard: Shard, known: ShardCoverage) -> None:
        """Count what earlier attempts have done of a shard."""
        if known.damaged:
            self._set_apart(shard)
            self._rows_apart += known.rows_read
        elif known.done:
            self._count(shard.path, shard.size, known.rows_read)
        elif _of_bytes(shard):
            self._count(shard.path, known.extent, known.rows_read)
        else:
            self._rows[shard.path] = known.rows_read

    def _set_apart(self, shard: Shard) -> None:
        """Expect nothing more of the shard, and of others nothing by it."""
        if shard.path not in self._apart:
            self._apart.add(shard.path)
            self._bytes_total -= shard.size - self._counted.get(shard.path, 0)
            self._rows_apart += self._rows.pop(shard.path, 0)

    def _count(self, name: str, size: int, rows: int) -> None:
        """So many more bytes and rows of a shard, with the rows that waited for its first bytes."""
        self._counted[name] = self._counted.get(name, 0) + size
        self._bytes_counted += size
        self._rows_counted += rows + self._rows.pop(name, 0)

    def flying(self, rows: int, tokens: int) -> None:
        """So much is predicted in splits that are not committed."""
        self._flying = (rows, tokens)

    def total(self) -> int | None:
        """Rows of the whole source: counted where footers tell, else projected."""
        if self._rows_total is not None:
            return self._rows_total
        if not self._bytes_counted:
            return None
        rows = self._rows_counted / self._bytes_counted * self._bytes_total
        return max(round(rows) + self._rows_apart, self._rows_before + self.rows)

    def most(self) -> int | None:
        """Rows that the source has at most: counted, else if those to come are far shorter."""
        total, done = self.total(), self._rows_before + self.rows
        if total is None or self._rows_total is not None:
            return total
        return done + _SHORTER * (total - done)

    def exceeds(self, allowed: float) -> bool:
        """Whether more than this share of all rows is rejected for certain."""
        most = self.most()
        return most is not None and most > 0 and self.rejected / most > allowed

    def view(self) -> View:
        """One look, now."""
        seconds = max(self._clock() - self._start, 1e-9)
        here = self.rows + self._flying[0]
        rows, total = self._rows_before + here, self.total()
        speed = here / seconds
        wanted = None if total is None else (total - self._rows_before) * self._mine
        left = None if wanted is None or not speed else max(wanted - here, 0) / speed
        return View(
            rows=rows,
            rejected=self.rejected,
            share=None if not total else min(rows / total, 1.0),
            rows_per_second=speed,
            tokens_per_second=(self._tokens + self._flying[1]) / seconds,
            seconds=seconds,
            left=left,
        )


def _of_bytes(shard: Shard) -> bool:
    """Whether the positions of its splits are those of stored bytes."""
    return shard.format in _OF_BYTES and not shard.path.lower().endswith(_COMPRESSED)
