"""Compaction: many receipts in one file, the same run before, during and after."""

import json
import tracemalloc
from typing import Any

import pytest

from labelmill.errors import CorruptRun, StorageError
from labelmill.ledger import lines, names, segments
from labelmill.ledger.segments import Compactor, read_rejects
from labelmill.ledger.state import State
from labelmill.ledger.voids import Void, record_voids
from labelmill.splits import Reject
from tests.support.runs import a_receipt, a_split, committed, open_run, shards
from tests.support.stores import Killed, MemoryStore, failing, killing

SHARD = shards(1)[0].path


def _told(store: MemoryStore) -> tuple[int, dict[str, int], list[tuple[str, Reject]]]:
    """What a reader makes of the ledger."""
    state = State(store)
    rejects = [(placed.shard, placed.reject) for placed in read_rejects(store, state)]
    assert len(list(state.entries())) == state.tally.splits
    return state.tally.splits, state.tally.sums, sorted(rejects, key=lambda each: each[1].position)


def _singles(store: MemoryStore) -> list[str]:
    return [entry.path for entry in store.list(names.RECEIPTS)]


def test_compacted_receipts_read_the_same_from_a_few_files() -> None:
    store = MemoryStore()
    receipts = committed(store, 25)
    before = _told(store)
    compactor = Compactor(store, "one", size=10)
    for receipt in receipts:
        compactor.add(receipt)
    assert len(_singles(store)) == 5
    compactor.flush()
    assert _singles(store) == []
    assert len(list(store.list(names.SEGMENTS))) == 3
    assert _told(store) == before


def test_rejects_of_much_text_fill_a_segment_before_its_receipts_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(segments, "CHARACTERS", 20)
    store = MemoryStore()
    compactor = Compactor(store, "one")
    for receipt in committed(store, 4):
        compactor.add(receipt)
    assert len(list(store.list(names.SEGMENTS))) == 2


def test_compaction_killed_at_every_step_reads_the_same() -> None:
    begin = MemoryStore()
    committed(begin, 6)
    before = _told(begin)
    steps = 0
    while True:
        store = begin.copy()
        singles = _singles(store)
        try:
            compactor = Compactor(killing(store, steps), "one", size=4)
            compactor.gather(singles)
            compactor.flush()
            break
        except Killed:
            steps += 1
        assert _told(store) == before
        again = open_run(store, shards(1), "two")
        assert again.seal().splits_done == 6
        assert _told(store) == before
        assert _singles(store) == []
    assert steps > 8


def test_compaction_after_a_failing_disk_loses_nothing_that_waits() -> None:
    store = MemoryStore()
    receipts = committed(store, 3)
    before = _told(store)
    compactor = Compactor(failing(store, "create", f"{names.SEGMENTS}/one-000001"), "one", size=2)
    compactor.add(receipts[0])
    with pytest.raises(StorageError):
        compactor.add(receipts[1])
    compactor.add(receipts[2])
    assert len(list(store.list(names.SEGMENTS))) == 1
    for path in _singles(store):
        del store.files[path]
    assert _told(store) == before


def test_the_same_receipts_in_two_segments_count_once() -> None:
    store = MemoryStore()
    receipts = committed(store, 3)
    before = _told(store)
    for attempt in ("one", "two"):
        compactor = Compactor(store, attempt)
        for receipt in receipts:
            compactor.add(receipt)
        compactor.flush()
    assert len(list(store.list(names.SEGMENTS))) == 2
    assert _told(store) == before


def test_two_receipts_of_one_split_that_differ_are_corrupt() -> None:
    store = MemoryStore()
    receipts = committed(store, 2)
    other = a_receipt(receipts[0].split, part=b"another", attempt="two")
    store.files[names.segment("two-1")] = lines.pack([other.to_entry()])
    with pytest.raises(CorruptRun, match=r"two receipts of split 0.*differ"):
        State(store)


@pytest.mark.parametrize("folder", [names.SEGMENTS, names.SHARDS, names.RECEIPTS, names.ATTEMPTS])
def test_ledger_file_that_was_cut_is_corrupt_by_name(folder: str) -> None:
    store = MemoryStore()
    compactor = Compactor(store, "one")
    receipts = committed(store, 2)
    compactor.add(receipts[0])
    compactor.flush()
    path = next(entry.path for entry in store.list(folder))
    store.files[path] = store.files[path][:-9]
    with pytest.raises(CorruptRun, match=path):
        open_run(store, shards(1), "two")


@pytest.mark.parametrize("content", [b"[]", b'{"nobody": 1}'])
def test_ledger_file_that_holds_something_else_is_corrupt_by_name(content: bytes) -> None:
    store = MemoryStore()
    open_run(store, shards(1))
    store.files[names.attempt("one")] = content
    with pytest.raises(CorruptRun, match="attempts/one"):
        open_run(store, shards(1), "two")


@pytest.mark.parametrize("folder", [names.SEGMENTS, names.SHARDS, names.RECEIPTS, names.VOIDS])
@pytest.mark.parametrize("record", [{"nobody": 1}, [1], None])
def test_ledger_file_whose_records_are_no_such_is_corrupt_by_name(folder: str, record: Any) -> None:
    store = MemoryStore()
    compactor = Compactor(store, "one")
    compactor.add(committed(store, 2)[0])
    compactor.flush()
    record_voids(store, "one", [Void(shard="x", index=0, generation=0, attempt="one")])
    path = next(entry.path for entry in store.list(folder))
    packed = b"" if record is None else lines.pack([record])
    store.files[path] = json.dumps(record).encode() if folder == names.RECEIPTS else packed
    with pytest.raises(CorruptRun, match=path):
        State(store)


def test_rejects_file_that_was_cut_is_corrupt_by_name() -> None:
    store = MemoryStore()
    compactor = Compactor(store, "one")
    for receipt in committed(store, 2):
        compactor.add(receipt)
    compactor.flush()
    path = next(entry.path for entry in store.list(names.REJECTS))
    store.files[path] = store.files[path][:-9]
    with pytest.raises(CorruptRun, match=path):
        list(read_rejects(store, State(store)))


def test_shard_records_with_a_gap_are_corrupt() -> None:
    store = MemoryStore()
    for count in (1, 2, 3):
        open_run(store, shards(count), str(count))
    del store.files[names.shard_record(1)]
    with pytest.raises(CorruptRun, match="000001"):
        State(store)


def test_run_of_many_shards_opens_in_little_memory() -> None:
    count, splits = 500, 10
    store = MemoryStore()
    found = shards(count)
    open_run(store, found, "zero")
    template = a_receipt(a_split(), part=b"").to_entry()
    for number in range(0, count, 100):
        entries = [
            template
            | {"shard": shard.path, "index": index, "last": index == splits - 1}
            | {"part": f"{shard.path}-{index:05d}.parquet"}
            for shard in found[number : number + 100]
            for index in range(splits)
        ]
        store.files |= {entry["part"]: b"" for entry in entries}
        store.files[names.segment(f"zero-{number}")] = lines.pack(entries[: -1 if number else None])
        if number:
            del store.files[entries[-1]["part"]]
    tracemalloc.start()
    state = State(store)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert state.tally.splits == count * splits - 4
    assert held < count * 2_000 + count * splits * 60, "bytes a shard, bytes a split"
    pending = open_run(store, found, "one").pending()
    assert len(pending) == 4
    assert all(sorted(work.done) == list(range(splits - 1)) for work in pending)
