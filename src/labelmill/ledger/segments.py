"""Segments: many receipts in one file, and many segments in one volume.

Compaction writes the rejects, then the segment, then deletes the single receipts. Killed anywhere,
the run reads the same: rejects without their segment are nobody's, and a receipt in two places
counts once. A segment is never changed, and only deleted once it stands in a volume. So a run of a
million splits is read back from hundreds of files, whenever its driver was killed: its volumes, at
most SEGMENTS segments and RECEIPTS single receipts of each driver. The promise ends there: that a
receipt counts, the state says.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from labelmill import threads
from labelmill.ledger import lines, names, volumes
from labelmill.ledger.commit import load
from labelmill.ledger.litter import Litter
from labelmill.ledger.receipt import Entry, Receipt
from labelmill.ledger.state import State, Told
from labelmill.splits import Reject
from labelmill.storage import Store

RECEIPTS = 200  # a segment
SEGMENTS = 40  # a volume
CHARACTERS = 32 << 20  # of rejects' text and reasons a segment, which the driver holds in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedReject:
    """A reject with the shard that it lies in."""

    shard: str
    reject: Reject


class Compactor:
    """Gathers the receipts of one attempt into segments."""

    def __init__(
        self, store: Store, attempt: str, size: int = RECEIPTS, segments: int = SEGMENTS
    ) -> None:
        self._store = store
        self.litter = Litter(store)
        self._attempt = attempt
        self._size = size
        self._limit = segments
        self._segments: list[str] = []  # that are in no volume yet
        self._number = 0
        self._waiting: list[Receipt] = []
        self._characters = 0

    def add(self, receipt: Receipt) -> None:
        """Take a receipt that is in the store; a full segment is written at once."""
        self._waiting.append(receipt)
        self._characters += sum(len(r.reason) + len(r.text or "") for r in receipt.rejects)
        if len(self._waiting) >= self._size or self._characters >= CHARACTERS:
            self.flush()

    def gather(self, paths: list[str]) -> None:
        """Take the single receipts that lie there, such as an older attempt left."""
        for _, receipt in threads.spread(lambda path: load(self._store, path), paths):
            if receipt is not None:
                self.add(receipt)

    def bind(self, segments: Iterable[str]) -> None:
        """Take segments that lie there, whosesoever; enough of them are bound at once."""
        self._segments = sorted({*self._segments, *segments})
        while len(self._segments) >= self._limit:
            some = self._segments[: self._limit]
            volumes.bind(self._store, self._free_name(), some, self.litter)
            del self._segments[: self._limit]

    def flush(self) -> None:
        """Write what waits; nothing happens where nothing does."""
        if not self._waiting:
            return
        segment = self._write(self._free_name())
        taken = [names.receipt(each.split.id, each.generation) for each in self._waiting]
        self.litter.remove(taken)
        self._waiting, self._characters = [], 0
        self.bind([segment])

    def _write(self, name: str) -> str:
        rejects = [line for receipt in self._waiting for line in _reject_lines(receipt)]
        # A name whose file is there is ours all the same: the store repeated a request.
        if rejects:
            self._store.create(names.rejects(name), lines.pack(rejects))
        segment = names.segment(name)
        self._store.create(segment, lines.pack(each.to_entry() for each in self._waiting))
        return segment

    def _free_name(self) -> str:
        """A name never tried before: after a failure, what waits is written under the next one."""
        self._number += 1
        return f"{self._attempt}-{self._number:06d}"


def read_rejects(store: Store, state: State) -> Iterator[PlacedReject]:
    """Every reject of the receipts that count, each once, in the order of the ledger."""
    told = Told(state)
    for path in state.live:
        receipt = load(store, path)
        if receipt is not None and told.first(receipt.to_entry()):
            yield from (_placed(receipt.split.shard, reject) for reject in receipt.rejects)
    compacted = state.compacted(told)
    for segment, group in itertools.groupby(compacted, key=lambda each: each[0]):
        counted = {(entry["shard"], entry["index"]) for _, entry in group if entry["rows_rejected"]}
        if counted:
            yield from _of_segment(store, segment, counted)


def _of_segment(
    store: Store, segment: str, counted: set[tuple[str, int]]
) -> Iterator[PlacedReject]:
    path = names.rejects(segment.removeprefix(f"{names.SEGMENTS}/"))
    for line in lines.stream(store, path):
        if (line["shard"], line["index"]) in counted:
            reject = Reject(position=line["position"], reason=line["reason"], text=line["text"])
            yield _placed(line["shard"], reject)


def _placed(shard: str, reject: Reject) -> PlacedReject:
    return PlacedReject(shard=shard, reject=reject)


def _reject_lines(receipt: Receipt) -> Iterator[Entry]:
    place: Entry = {"shard": receipt.split.shard, "index": receipt.split.index}
    for reject in receipt.rejects:
        facts = {"position": reject.position, "reason": reject.reason, "text": reject.text}
        yield place | facts
