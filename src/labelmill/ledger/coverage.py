"""Coverage: which splits of which shard have a receipt that counts, in a few bytes a split.

It promises that a split counts once however often its receipt is found, that two receipts of one
split which differ are refused, and that a million splits of a hundred thousand shards fit into a
few hundred megabytes. It does not know where receipts come from, nor whether their parts are there.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from typing_extensions import override

from labelmill.errors import CorruptRun
from labelmill.ledger.receipt import Entry
from labelmill.splits import Shard, Split

_STRIDE = 4  # start, stop, size of the part, first 8 bytes of its checksum
_ABSENT = array("q", [-1, -1, -1, -1])


class Expected(Protocol):
    """What coverage must know of a shard record."""

    @property
    def shard(self) -> Shard:
        """The file."""
        ...

    @property
    def generation(self) -> int:
        """How often it was replaced."""
        ...


class ShardCoverage:
    """One shard: its splits by index, and the sums of their rows."""

    __slots__ = (
        "_cells",
        "_last",
        "damaged",
        "generation",
        "rows_labelled",
        "rows_read",
        "rows_rejected",
        "splits",
    )

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self._cells: array[int] = array("q")
        self._last = -1  # index of the last split, -1 while unknown
        self.splits = 0
        self.rows_read = self.rows_labelled = self.rows_rejected = 0
        self.damaged = False

    @property
    def done(self) -> bool:
        """Receipts 0..k are there, and k is marked last."""
        return self._last >= 0 and self.splits == self._last + 1

    @property
    def last(self) -> int | None:
        """Index of the last split; None while nobody knows it."""
        return None if self._last < 0 else self._last

    @property
    def extent(self) -> int:
        """Positions of the shard that its splits with a receipt take up."""
        return sum(self._cells[1::_STRIDE]) - sum(self._cells[::_STRIDE])

    def part_size(self, index: int) -> int | None:
        """Recorded size of a split's part; None where it has no receipt."""
        found = index * _STRIDE
        if found >= len(self._cells) or self._cells[found] < 0:
            return None
        return self._cells[found + 2]

    def indexes(self) -> Iterator[int]:
        """The splits that have a receipt, ascending."""
        return (n for n in range(len(self._cells) // _STRIDE) if self._cells[n * _STRIDE] >= 0)

    def done_splits(self, path: str) -> "DoneSplits":
        """The splits that have a receipt now; what comes later does not change it."""
        return DoneSplits(path, self._cells[::_STRIDE], self._cells[1::_STRIDE], self._last)

    def add(self, entry: Entry) -> bool:
        """Count a receipt; False where it counted before. Raises CorruptRun where they differ."""
        cell = _cell(entry)
        at = entry["index"] * _STRIDE
        if at < len(self._cells) and self._cells[at] >= 0:
            self._require_same(entry, cell, at)
            return False
        self._require_inside(entry)
        while len(self._cells) < at + _STRIDE:
            self._cells.extend(_ABSENT)
        self._cells[at : at + _STRIDE] = cell
        self._count(entry)
        return True

    def _count(self, entry: Entry) -> None:
        self.splits += 1
        self.rows_read += entry["rows_read"]
        self.rows_labelled += entry["rows_labelled"]
        self.rows_rejected += entry["rows_rejected"]
        self.damaged = self.damaged or bool(entry["breaks"])
        if entry["last"]:
            self._last = entry["index"]

    def _require_same(self, entry: Entry, cell: "array[int]", at: int) -> None:
        if self._cells[at : at + _STRIDE] != cell or entry["last"] != (
            self._last == entry["index"]
        ):
            raise CorruptRun(
                f"two receipts of split {entry['index']} of shard {entry['shard']!r} differ, the "
                f"second has checksum {entry['checksum']!r}; use a new output directory"
            )

    def _require_inside(self, entry: Entry) -> None:
        index, beyond = entry["index"], len(self._cells) // _STRIDE - 1
        if (0 <= self._last < index) or (entry["last"] and index < beyond):
            raise CorruptRun(
                f"shard {entry['shard']!r} has receipts after its last split (split {index}, last "
                f"{self._last if self._last >= 0 else index}); use a new output directory"
            )


class DoneSplits(Mapping[int, Split]):
    """Splits of one shard by index, 16 bytes each: work lists hold half a million of them."""

    __slots__ = ("_last", "_path", "_starts", "_stops")

    def __init__(self, path: str, starts: "array[int]", stops: "array[int]", last: int) -> None:
        self._path, self._starts, self._stops, self._last = path, starts, stops, last

    @override
    def __getitem__(self, index: int) -> Split:
        if not 0 <= index < len(self._starts) or self._starts[index] < 0:
            raise KeyError(index)
        return Split(
            shard=self._path,
            index=index,
            start=self._starts[index],
            stop=self._stops[index],
            last=index == self._last,
        )

    @override
    def __iter__(self) -> Iterator[int]:
        return (index for index, start in enumerate(self._starts) if start >= 0)

    @override
    def __len__(self) -> int:
        return sum(start >= 0 for start in self._starts)


class Coverage:
    """All shards of a run, by path, in the run's order."""

    def __init__(self) -> None:
        self._shards: dict[str, ShardCoverage] = {}

    def expect(self, records: Iterable[Expected]) -> None:
        """Make room for shards that came; one of a newer generation starts with nothing."""
        for record in records:
            known = self._shards.get(record.shard.path)
            if known is None or known.generation != record.generation:
                self._shards[record.shard.path] = ShardCoverage(record.generation)

    def add(self, entry: Entry) -> bool:
        """Count a receipt; False where it counted already or belongs to a replaced shard."""
        shard = self._shards.get(entry["shard"])
        if shard is None:
            raise CorruptRun(
                f"a receipt tells of shard {entry['shard']!r}, which no shard record names; "
                "use a new output directory"
            )
        return shard.generation == entry["generation"] and shard.add(entry)

    def get(self, path: str) -> ShardCoverage | None:
        """One shard; None where it is not of this run."""
        return self._shards.get(path)

    def items(self) -> Iterable[tuple[str, ShardCoverage]]:
        """Every shard with its path."""
        return self._shards.items()

    def done(self, path: str) -> bool:
        """Whether every split of the shard has a receipt."""
        shard = self._shards.get(path)
        return shard is not None and shard.done

    def damaged(self, path: str) -> bool:
        """Whether a receipt of the shard tells of a broken piece."""
        shard = self._shards.get(path)
        return shard is not None and shard.damaged


class Marks:
    """Which splits were met, a byte each."""

    def __init__(self) -> None:
        self._shards: dict[str, bytearray] = {}

    def first(self, path: str, index: int) -> bool:
        """Mark a split; whether it was not marked before."""
        marks = self._shards.setdefault(path, bytearray())
        if index >= len(marks):
            marks.extend(bytes(index + 1 - len(marks)))
        met, marks[index] = marks[index], 1
        return not met

    def absent(self, path: str, shard: ShardCoverage) -> list[int]:
        """The splits of a shard that have a receipt and were not met."""
        marks = self._shards.get(path, b"")
        if sum(marks) == shard.splits:
            return []
        return [index for index in shard.indexes() if index >= len(marks) or not marks[index]]


def _cell(entry: Entry) -> "array[int]":
    start = int.from_bytes(
        bytes.fromhex(entry["checksum"].removeprefix("sha256:")[:16]), signed=True
    )
    return array("q", [entry["start"], entry["stop"], entry["part_size"], start])
