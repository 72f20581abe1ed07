"""State: everything that the ledger of a run says, read back from the store.

It promises to see every receipt that was committed before the reading began, also while other
drivers commit and compact, and to count each split once. Reading is linear; what it holds is flat
but for some bytes a split (`Coverage`).
"""

from collections.abc import Iterator

from labelmill.ledger import bulk, lines, names
from labelmill.ledger.coverage import Coverage, Marks
from labelmill.ledger.receipt import Entry, Receipt
from labelmill.ledger.shards import ShardRecords
from labelmill.ledger.tally import Tally
from labelmill.ledger.voids import Voids
from labelmill.storage import Store


class State:
    """The ledger as it is, or a moment newer.

    The order of reading matters. Compaction writes a segment before it deletes the single receipts
    in it, so singles are read before segments are listed: a receipt is met in one of the two at
    least. A receipt is younger than its shard's record and than the void that made its split
    pending, so those are read last: no receipt is met without what explains it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        singles = dict(self._read_singles())
        self.segments = sorted(entry.path for entry in store.list(names.SEGMENTS))
        self.records = ShardRecords(store)
        self.voids = Voids(store)
        self.coverage = Coverage()
        self.coverage.expect(self.records)
        self.tally = Tally()
        self.live: list[str] = []  # single receipts that count and are in no segment
        self.spent: set[str] = set()  # single receipts that are void or stand in a segment too
        self.void_parts: dict[str, set[str]] = {}  # part -> checksums that void receipts gave it
        self._load(singles)

    def add(self, entry: Entry) -> bool:
        """Count a receipt; False where it is void or counts already. Raises CorruptRun."""
        if self.void(entry):
            self.void_parts.setdefault(entry["part"], set()).add(entry["checksum"])
            return False
        new = self.coverage.add(entry)
        if new:
            self.tally.add(entry)
        return new

    def void(self, entry: Entry) -> bool:
        """Whether a receipt does not count: its shard was replaced, or its part was found gone."""
        record = self.records.get(entry["shard"])
        replaced = record is not None and record.generation != entry["generation"]
        return replaced or entry in self.voids

    def entries(self) -> Iterator[Entry]:
        """Each receipt that counts, once, read from the store again.

        One that was compacted since this state was read is left out: compare with `tally.splits`.
        """
        told = Told(self)
        for path, data in bulk.read_all(self._store, self.segments):
            yield from filter(told.first, lines.unpack(path, data))
        for path, data in bulk.read_all(self._store, self.live):
            yield from filter(told.first, [_entry(path, data)])

    def finished(self) -> bool:
        """Whether every shard is done."""
        return all(shard.done for _, shard in self.coverage.items())

    def _load(self, singles: dict[str, Entry]) -> None:
        for path, data in bulk.read_all(self._store, self.segments):
            for entry in lines.unpack(path, data):
                self.add(entry)
        for path, entry in singles.items():
            if self.add(entry):
                self.live.append(path)
            else:
                self.spent.add(path)

    def _read_singles(self) -> Iterator[tuple[str, Entry]]:
        paths = sorted(entry.path for entry in self._store.list(names.RECEIPTS))
        return ((path, _entry(path, data)) for path, data in bulk.read_all(self._store, paths))


class Told:
    """Which receipts that count have been met already."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._marks = Marks()

    def first(self, entry: Entry) -> bool:
        """Whether the receipt counts and its split was not met before."""
        if self._state.void(entry):
            return False
        return self._marks.first(entry["shard"], entry["index"])


def _entry(path: str, data: bytes) -> Entry:
    return Receipt.from_entry(lines.parse(path, data)).to_entry()
