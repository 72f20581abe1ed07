"""Run: what a job leaves in its output directory, opened to be brought forward.

It promises that opening is safe at any time, whatever was killed before and whoever else works on
the run; that what it calls pending is neither committed nor lost; and that it seals the run only
when every split of every shard has its receipt, its part is there and the sums agree. It does not
know who labels.

How a receipt is taken back, in one paragraph: nothing committed is ever replaced, so a receipt
whose part is gone is *voided* by an append-only record (`voids`), and one of a replaced shard is
void because the shard's newest record has a higher generation (`shards`). Void receipts are skipped
by all readers.
"""

import contextlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Self

from labelmill import threads
from labelmill.errors import CorruptRun, LedgerError, StorageError, UnfinishedRun
from labelmill.ledger import names
from labelmill.ledger.attempts import Attempt, read_attempts
from labelmill.ledger.commit import part_checksum
from labelmill.ledger.coverage import ShardCoverage
from labelmill.ledger.manifest import Manifest
from labelmill.ledger.opening import require_room
from labelmill.ledger.part_names import parse_part
from labelmill.ledger.parts import (
    adopt,
    clean,
    require_sizes,
    survey,
    void_missing,
)
from labelmill.ledger.receipt import Entry, Receipt
from labelmill.ledger.segments import Compactor
from labelmill.ledger.shards import register, require_present
from labelmill.ledger.state import State
from labelmill.ledger.totals import Totals
from labelmill.ledger.voids import record_voids
from labelmill.splits import Shard, Split
from labelmill.storage import FileMissing, Store, open_store

_PASSES = 5  # at opening, until two readings of the ledger agree


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardWork:
    """A shard that is not done, and which of its splits are."""

    shard: Shard
    generation: int
    done: Mapping[int, Split]


class Run:
    """One run, opened by one attempt."""

    def __init__(self, store: Store, manifest: Manifest, attempt: Attempt) -> None:
        self._store = store
        self._compactor = Compactor(store, attempt.name)
        self._shards: dict[str, Shard] = {}
        self.manifest = manifest  # as it stands in the output directory
        self.attempt = attempt
        self.foreign: tuple[str, ...] = ()  # data files there that are not of this run
        self._attempts: tuple[Attempt, ...] = ()
        self._complete = False
        self._state = State(store)

    @classmethod
    def open(
        cls, output_url: str, manifest: Manifest, shards: Iterable[Shard], *, attempt: Attempt
    ) -> Self:
        """Begin a run, or go on with the one that is there.

        Raises FingerprintChanged, InputError (a changed, vanished or unnameable shard), CorruptRun
        (a part or receipt is not what was recorded), LedgerError (data that is not ours, other
        version).
        """
        return cls.on(open_store(output_url), manifest, shards, attempt=attempt)

    @classmethod
    def on(
        cls, store: Store, manifest: Manifest, shards: Iterable[Shard], *, attempt: Attempt
    ) -> Self:
        """The same in a store that is open."""
        shards = tuple(shards)
        if Manifest.load(store) is None:
            require_room(store)
        run = cls(store, manifest.settle(store), attempt)
        run._begin(shards)
        return run

    def pending(self, slice_: tuple[int, int] | None = None) -> list[ShardWork]:
        """The shards that are not done, in the run's order.

        `slice_` (i, n) keeps every n-th shard of the run from the i-th on, 0 <= i < n; a shard's
        place never moves, so the slices of several drivers stay apart however many shards come
        later.
        """
        first, step = slice_ or (0, 1)
        if not 0 <= first < step:
            raise LedgerError(f"slice {slice_!r} is none: expected (i, n) with 0 <= i < n")
        places = enumerate(self._state.coverage.items())
        mine = (item for place, item in places if place % step == first)
        return [
            ShardWork(
                shard=self._shard(path),
                generation=shard.generation,
                done=shard.done_splits(path),
            )
            for path, shard in mine
            if not shard.done
        ]

    def covered(self) -> Iterable[tuple[str, ShardCoverage]]:
        """Every shard, and what is done of it now."""
        return self._state.coverage.items()

    def record(self, receipt: Receipt) -> bool:
        """Count a committed receipt; False where it counted before, or does not count."""
        if not self._state.add(receipt.to_entry()):
            return False
        self._compactor.add(receipt)
        return True

    @property
    def undeleted(self) -> StorageError | None:
        """Why files that nobody needs stay in the ledger; None where none had to."""
        return self._compactor.litter.refusal

    def totals(self) -> Totals:
        """What this driver knows of the run now; `complete` where it is sealed."""
        return Totals.of(self._state, self._attempts, complete=self._complete)

    def close(self) -> None:
        """Compact what waits; a driver that is killed instead leaves it to the next one."""
        self._compactor.flush()

    def seal(self) -> Totals:
        """Declare the run whole, from a fresh reading of the store; again is harmless.

        Raises UnfinishedRun where shards are not done, CorruptRun where sums or checksums disagree.
        """
        self.close()
        self._state = State(self._store)
        self._reconcile()
        self._require_finished()
        if not self._store.exclusive:
            self._require_checksums()
        self._tidy()
        self._sweep()
        self._attempts = read_attempts(self._store)
        totals = Totals.of(self._state, self._attempts, complete=True)
        totals.require_sums()
        record = {"time": time.time(), "attempt": self.attempt.name, "totals": asdict(totals)}
        self._store.create(seal_name(self._state), json.dumps(record).encode())
        self._complete = True
        return totals

    def _begin(self, shards: tuple[Shard, ...]) -> None:
        self._shards = {shard.path: shard for shard in shards}
        records, coverage = self._state.records, self._state.coverage
        replaced = register(records, coverage, shards, self.manifest.part_format)
        self.attempt.begin(self._store)
        self._attempts = read_attempts(self._store)
        coverage.expect(records)
        if replaced:
            self._state = State(self._store)
        self._reconcile()
        require_present(self._state.records, self._state.coverage, self._shards)
        self._tidy()
        self._complete = is_sealed(self._store, self._state)

    def _reconcile(self) -> None:
        """Make ledger and parts agree; see `parts`."""
        suspects: set[str] = set()
        for _ in range(_PASSES):
            found = survey(self._store, self._state, self.manifest.part_format)
            require_sizes(found)
            voids = void_missing(self._store, self._state, found.missing) if found.missing else []
            left = set(adopt(self._store, self._state, found.unexplained))
            beyond = {path for path in left if self._beyond(path)}
            self._require_explained(left - beyond, suspects)
            if voids:
                record_voids(self._store, self.attempt.name, voids)
            if not voids and left == beyond:
                self.foreign = tuple(sorted({*found.foreign, *beyond}))
                return
            # A part that another driver is just committing is explained in the next reading.
            suspects = left
            self._state = State(self._store)
        raise StorageError(
            f"the parts in {self._store.url!r} changed during each of {_PASSES} readings; see "
            "that nothing but labelmill writes there, then run again"
        )

    def _tidy(self) -> None:
        clean(self._store, self._state, self._compactor.litter)
        self._compactor.gather(self._state.live)
        self._compactor.flush()
        self._compactor.bind(self._state.segments)

    def _sweep(self) -> None:
        """Not before the seal: others may be writing; now the names of all parts are taken."""
        with contextlib.suppress(StorageError):  # one that stays harms nobody
            self._store.sweep()

    def _beyond(self, part: str) -> bool:
        """Whether a part bears the name of a shard that is done without it."""
        place = parse_part(part, self.manifest.part_format)
        return place is not None and self._state.coverage.done(place[0])

    def _require_explained(self, left: set[str], suspects: set[str]) -> None:
        stuck = sorted(left & suspects)
        if stuck:
            raise CorruptRun(
                f"part {stuck[0]!r} (of {len(stuck)}) in {self._store.url!r} has no receipt and "
                "no prepared receipt: labelmill did not write it, or its ledger was altered; move "
                "it away and run again"
            )

    def _require_finished(self) -> None:
        waiting = [path for path, shard in self._state.coverage.items() if not shard.done]
        if waiting:
            raise UnfinishedRun(
                f"{len(waiting)} of {len(self._state.records)} shards are not labelled to their "
                f"end, the first is {waiting[0]!r}; run the same command again to go on"
            )

    def _require_checksums(self) -> None:
        """On a store that can let two writers win, what lies there may not be what was recorded."""
        compared = 0
        for entry, found in threads.spread(self._checksum, self._state.entries()):
            compared += 1
            if found != entry["checksum"]:
                raise CorruptRun(
                    f"part {entry['part']!r} has checksum {found!r}, its receipt says "
                    f"{entry['checksum']!r}: two drivers wrote it at once; delete the part and "
                    "run again"
                )
        if compared != self._state.tally.splits:
            raise UnfinishedRun("another driver works on the run; run again when it has ended")

    def _checksum(self, entry: Entry) -> str:
        return part_checksum(self._store, entry["part"])

    def _shard(self, path: str) -> Shard:
        """The shard as this job found it; another driver's newer shard as it was recorded."""
        record = self._state.records.get(path)
        if record is None:
            raise LedgerError(f"shard {path!r} is not of this run")
        return self._shards.get(path, record.shard)


def seal_name(state: State) -> str:
    """The seal that fits the run as it is: another one is due when a shard or a void comes."""
    return names.sealed(state.records.files, state.voids.files)


def is_sealed(store: Store, state: State) -> bool:
    """Whether the run was declared whole as it is now."""
    try:
        store.stat(seal_name(state))
    except FileMissing:
        return False
    return state.finished()
