"""Volumes: what a run reads at resume grows by volumes, and its rejects are found in them."""

from collections import Counter

import pytest

from labelmill.errors import CorruptRun
from labelmill.ledger import names
from labelmill.ledger.segments import RECEIPTS, SEGMENTS, Compactor, read_rejects
from labelmill.ledger.state import State
from labelmill.storage import Store
from tests.support.runs import a_receipt, a_split, committed, label, open_run, shards
from tests.support.stores import FaultyStore, Killed, MemoryStore, killing

SHARD = shards(1)[0].path


def _told(store: Store) -> tuple[int, dict[str, int], list[int], list[int]]:
    """What a reader makes of the ledger."""
    state = State(store)
    entries = [entry["index"] for entry in state.entries()]
    rejects = [placed.reject.position for placed in read_rejects(store, state)]
    return state.tally.splits, state.tally.sums, sorted(entries), sorted(rejects)


def _count(store: MemoryStore, folder: str) -> int:
    return len(list(store.list(folder)))


def test_bound_segments_read_the_same_with_their_rejects() -> None:
    store = MemoryStore()
    receipts = committed(store, 9)
    before = _told(store)
    compactor = Compactor(store, "one", size=2, segments=2)
    for receipt in receipts:
        compactor.add(receipt)
    compactor.flush()
    assert (_count(store, names.VOLUMES), _count(store, names.SEGMENTS)) == (2, 1)
    assert _count(store, names.REJECTS) == 5
    assert _told(store) == before


def test_binding_killed_at_every_step_reads_the_same_and_is_done_by_the_next() -> None:
    begin = MemoryStore()
    receipts = committed(begin, 6)
    before = _told(begin)
    steps = 0
    while True:
        store = begin.copy()
        try:
            compactor = Compactor(killing(store, steps), "one", size=1, segments=3)
            for receipt in receipts:
                compactor.add(receipt)
            break
        except Killed:
            steps += 1
        assert _told(store) == before
        left = [entry.path for entry in store.list(names.SEGMENTS)]
        again = Compactor(store, "two", segments=2)
        again.bind(left)
        assert _count(store, names.SEGMENTS) == len(left) % 2
        assert _told(store) == before
    assert steps > 20


def test_segments_of_many_short_attempts_are_bound_when_the_run_is_opened() -> None:
    store = MemoryStore()
    for number in range(2 * SEGMENTS):
        run = open_run(store, shards(number + 1), f"attempt{number:03d}")
        label(run, store, splits=1)
        run.close()
    open_run(store, shards(2 * SEGMENTS), "last").seal()
    assert _count(store, names.SEGMENTS) < SEGMENTS
    assert State(store).tally.splits == 2 * SEGMENTS


def test_state_that_was_read_before_binding_finds_its_receipts_again() -> None:
    store = MemoryStore()
    receipts = committed(store, 5)
    state = State(store)
    compactor = Compactor(store, "one", size=1, segments=2)
    for receipt in receipts:
        compactor.add(receipt)
    assert sorted(entry["index"] for entry in state.entries()) == [0, 1, 2, 3, 4]
    assert len(list(read_rejects(store, state))) == 5


def test_volume_that_was_cut_is_corrupt_by_name() -> None:
    store = MemoryStore()
    compactor = Compactor(store, "one", size=1, segments=2)
    for receipt in committed(store, 2):
        compactor.add(receipt)
    (path,) = (entry.path for entry in store.list(names.VOLUMES))
    store.files[path] = store.files[path][:-9]
    with pytest.raises(CorruptRun, match=path):
        State(store)


def test_killed_run_of_many_splits_is_resumed_from_hundreds_of_files_a_million() -> None:
    store = MemoryStore()
    count, left = 2 * RECEIPTS * SEGMENTS, RECEIPTS - 1
    open_run(store, shards(1), "zero").close()
    compactor = Compactor(store, "zero")
    for index in range(count + left):
        receipt = a_receipt(a_split(SHARD, index, last=False), part=b"")
        store.files[receipt.part] = b""
        if index < count:
            compactor.add(receipt)
        else:
            store.files[names.receipt(receipt.split.id, 0)] = receipt.to_json()
    opened: Counter[str] = Counter()

    def note(verb: str, path: str) -> None:
        if verb == "open":
            opened[path.split("/")[1]] += 1

    run = open_run(FaultyStore(store, note), shards(1), "one")
    (work,) = run.pending()
    assert len(work.done) == count + left
    assert (opened["volumes"], opened["segments"]) == (2, 0)
    assert opened["receipts"] == 2 * left, "once for the state, once more to be compacted"
    assert 1_000_000 / count * opened["volumes"] + SEGMENTS + opened["receipts"] < 600
