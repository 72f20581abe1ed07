"""Cutting: rows that arrive front to back, cut into splits by the rule of the run.

Where a split ends depends on the rule and on the sizes of the rows alone: not on the batches that
they arrive in, and not on which splits are done and left out. A split closes when a row is seen
that does not fit any more, at a break, and at the end, so that the last one is known to be last.
Nothing here reads a file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from labelmill.errors import InputError
from labelmill.ops.row_sizes import Counts, row_sizes
from labelmill.splits import Break, CutRule, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A split, its rows as they came, and the breaks just before it (after it, if it is last)."""

    split: Split
    table: pa.Table
    breaks: tuple[Break, ...] = ()


class Cutter:
    """Cuts the rows of one shard; positions are row numbers."""

    def __init__(
        self, shard: str, rule: CutRule, done: Mapping[int, Split], schema: pa.Schema
    ) -> None:
        self._shard, self._rule, self._done, self._schema = shard, rule, done, schema
        self._batches: list[pa.RecordBatch] = []  # of the split in progress
        self._breaks: list[Break] = []  # before the split in progress
        self._held: Cut | None = None  # closed by a break: nobody knows yet whether rows follow
        self._index = self._start = self._rows = self._size = 0
        self._over = False
        self._pass_done()

    @property
    def wanted(self) -> int | None:
        """The first row that is still to come; None when the rest of the shard is done."""
        return None if self._over else self._start + self._rows

    def feed(self, position: int, batch: pa.RecordBatch) -> Iterator[Cut]:
        """Take those of the rows from `position` on that are wanted; give the splits they close."""
        if self._over or self._start + self._rows >= position + len(batch):
            return
        sizes = row_sizes(batch)
        while (wanted := self.wanted) is not None and wanted < position + len(batch):
            yield from self._release()
            at = wanted - position
            fitting = self._fitting(sizes[at:])
            self._take(batch.slice(at, fitting), int(sizes[at : at + fitting].sum()))
            if at + fitting < len(batch) or self._meets_done():
                yield self._close()

    def skip(self, gap: Break) -> Iterator[Cut]:
        """The rows of the break, which starts at the row wanted, are lost; the split ends there."""
        if self._rows:
            yield from self._release()
            self._held = self._close()
        if self.wanted == gap.start:
            self._breaks.append(gap)
            self._start = gap.start if gap.stop is None else gap.stop

    def end(self) -> Iterator[Cut]:
        """No more rows: give what is left, its last split marked as last.

        InputError where splits that are done say that the shard had more rows.
        """
        held, self._held = self._held, None
        if self._over or self._rows:
            yield from [held] if held else []
        if self._over:
            return
        if self._rows or self._index == 0:
            yield self._cut(last=True)
        elif held is not None and held.split.index == self._index - 1:
            split = replace(held.split, last=True)
            yield replace(held, split=split, breaks=(*held.breaks, *self._breaks))
        else:
            raise InputError(
                f"shard {self._shard!r} ends at row {self._start}, but an earlier attempt found "
                "more rows; restore the shard as it was"
            )

    def _release(self) -> Iterator[Cut]:
        """Rows follow, so what was held back is not the last split."""
        if self._held is not None:
            held, self._held = self._held, None
            yield held

    def _fitting(self, sizes: Counts) -> int:
        """How many more rows the split in progress takes; the first is taken however large."""
        room = self._rule.split_rows - self._rows
        sums = self._size + np.cumsum(sizes[:room])
        fitting = int(np.searchsorted(sums, self._rule.split_bytes, side="right"))
        return fitting if self._rows else max(fitting, 1)

    def _take(self, batch: pa.RecordBatch, size: int) -> None:
        self._batches.append(batch)
        self._rows += len(batch)
        self._size += size

    def _meets_done(self) -> bool:
        follower = self._done.get(self._index + 1)
        return follower is not None and follower.start == self.wanted

    def _close(self) -> Cut:
        cut = self._cut(last=False)
        self._index, self._start = self._index + 1, cut.split.stop
        self._batches, self._breaks, self._rows, self._size = [], [], 0, 0
        self._pass_done()
        return cut

    def _cut(self, *, last: bool) -> Cut:
        start = self._start if self._rows else 0
        stop = start + self._rows
        split = Split(shard=self._shard, index=self._index, start=start, stop=stop, last=last)
        table = pa.Table.from_batches(self._batches, self._schema)
        return Cut(split=split, table=table, breaks=tuple(self._breaks))

    def _pass_done(self) -> None:
        """Step over splits that are done, with the breaks before them: their receipts have both."""
        while not self._over and (split := self._done.get(self._index)) is not None:
            self._index, self._start, self._over = split.index + 1, split.stop, split.last
