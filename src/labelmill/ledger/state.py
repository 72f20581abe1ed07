"""State: everything that the ledger of a run says, read back from the store.

It promises to see every receipt that was committed before the reading began, also while other
drivers commit and compact, and to count each split once. Reading is linear; what it holds is flat
but for some bytes a split (`Coverage`).
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping

from labelmill.ledger import lines, names, volumes
from labelmill.ledger.coverage import Coverage, Marks
from labelmill.ledger.receipt import Entry, Receipt
from labelmill.ledger.shards import ShardRecord, ShardRecords
from labelmill.ledger.tally import Tally
from labelmill.ledger.voids import Void, Voids
from labelmill.storage import Store, bulk


class State:
    """The ledger as it is, or a moment newer.

    The order of reading matters. Compaction writes a segment before it deletes the single receipts
    in it, and a volume before the segments in it: so singles are read before segments are listed,
    and segments before volumes are. A receipt is met in one of the three at least. A receipt is
    younger than its shard's record and than the void that made its split pending, so those are read
    after: no receipt is met without what explains it. Volumes stay, and can wait to be read.
    """

    def __init__(
        self, store: Store, news: Iterable[ShardRecord] = (), voids: Iterable[Void] = ()
    ) -> None:
        """`news` and `voids`: what is not recorded and is to count as if it were."""
        self._store = store
        singles = dict(self._read_singles())
        segments = dict(bulk.read_all(store, _listed(store, names.SEGMENTS)))  # few: see `segments`
        self.segments: list[str] = []  # that stand in no volume
        self._volumes = _listed(store, names.VOLUMES)
        self.records = ShardRecords(store, news)
        self.voids = Voids(store, voids)
        self.coverage = Coverage()
        self.coverage.expect(self.records)
        self.tally = Tally()
        self.live: list[str] = []  # single receipts that count and stand nowhere else
        self.spent: set[str] = set()  # single receipts that are void or stand elsewhere too
        self.barring: set[str] = set()  # those of them whose name a pending split needs
        self.bound: list[str] = []  # segments that stand in a volume too
        self.void_parts: dict[str, set[str]] = {}  # part -> checksums that void receipts gave it
        self._load(singles, segments)

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
        """Each receipt that counts, once, read from the store again, wherever it stands by now."""
        told = Told(self)
        for path, data in bulk.read_all(self._store, self.live):
            yield from filter(told.first, [_entry(path, data)])
        yield from (entry for _, entry in self.compacted(told))

    def compacted(self, told: "Told") -> Iterator[tuple[str, Entry]]:
        """The same of those in segments and volumes that were not met, with their segments' paths.

        After the single ones, see above.
        """
        for folder in (names.SEGMENTS, names.VOLUMES):
            for path, data in bulk.read_all(self._store, _listed(self._store, folder)):
                for segment, entry in volumes.unbind(path, data):
                    if told.first(entry):
                        yield segment, entry

    def finished(self) -> bool:
        """Whether every shard is done."""
        return all(shard.done for _, shard in self.coverage.items())

    def _load(self, singles: Mapping[str, Entry], segments: Mapping[str, bytes]) -> None:
        compacted = bulk.read_all(self._store, self._volumes)
        bound = set[str]()
        for path, data in itertools.chain(segments.items(), compacted):
            try:
                for segment, entry in volumes.unbind(path, data):
                    self.add(entry)
                    if segment != path:
                        bound.add(segment)
            except lines.ODD as err:
                raise lines.broken(path, err) from err
        self.segments = [path for path in segments if path not in bound]
        self.bound = [path for path in segments if path in bound]
        for path, entry in singles.items():
            self._load_single(path, entry)

    def _load_single(self, path: str, entry: Entry) -> None:
        if self.add(entry):
            self.live.append(path)
            return
        self.spent.add(path)
        shard = self.coverage.get(entry["shard"])
        if shard is None or shard.generation != entry["generation"]:
            return
        if shard.part_size(entry["index"]) is None:
            self.barring.add(path)

    def _read_singles(self) -> Iterator[tuple[str, Entry]]:
        found = bulk.read_all(self._store, _listed(self._store, names.RECEIPTS))
        return ((path, _entry(path, data)) for path, data in found)


class Told:
    """Which receipts that count have been met already."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._marks = Marks()

    def first(self, entry: Entry) -> bool:
        """Whether the state counts the receipt and its split was not met before."""
        shard = self._state.coverage.get(entry["shard"])
        counts = shard is not None and shard.part_size(entry["index"]) is not None
        if not counts or self._state.void(entry):
            return False
        return self._marks.first(entry["shard"], entry["index"])


def _listed(store: Store, folder: str) -> list[str]:
    return sorted(entry.path for entry in store.list(folder))


def _entry(path: str, data: bytes) -> Entry:
    return Receipt.from_file(path, data).to_entry()
