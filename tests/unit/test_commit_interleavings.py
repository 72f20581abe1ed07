"""Every schedule of two or three committers of one split, each crashing at every point.

A situation is visited once, and each is also one in which every process that has not ended is dead
for ever, or alive again after a recovery. So visiting all of them is trying every crash.
"""

import threading
from collections.abc import Callable

import pytest

from labelmill.ledger import names
from labelmill.ledger.commit import commit, part_checksum
from labelmill.ledger.coverage import Coverage
from labelmill.ledger.receipt import Receipt
from labelmill.ledger.run import Run
from labelmill.ledger.segments import Compactor, read_rejects
from labelmill.ledger.shards import ShardRecords, register
from labelmill.ledger.state import State
from tests.support.interleaving import Process, Situation, beginning, explore
from tests.support.runs import a_manifest, a_part, a_receipt, a_shard, a_split, open_run
from tests.support.stores import MemoryStore

SPLIT = a_split()
PART = "a.jsonl-00000.parquet"
RECEIPT = names.receipt(SPLIT.id, 0)


@pytest.fixture(autouse=True)
def _names_that_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    # Replay runs a committer again from its start, so its prepared receipt must keep its name.
    monkeypatch.setattr("secrets.token_hex", lambda size: "0" * size)
    # And its verbs must come in one order.
    monkeypatch.setattr("labelmill.threads._THREADS", 1)


def _begun() -> MemoryStore:
    store = MemoryStore()
    open_run(store, [a_shard()], "zero")
    return store


def _committer(attempt: str, salt: str = "") -> Process:
    part = a_part(SPLIT, salt)
    receipt = a_receipt(SPLIT, attempt=attempt, part=part)
    return lambda store: commit(store, receipt, part)


def _recover(store: MemoryStore, attempt: str = "recovery") -> Run:
    """What a user does after a crash: the same command again, to its end."""
    run = open_run(store, [a_shard()], attempt)
    for work in run.pending():
        part = a_part(SPLIT, attempt)
        receipt = a_receipt(SPLIT, attempt=attempt, part=part, generation=work.generation)
        committed = commit(store, receipt, part)
        assert committed is not None, "a split that opening calls pending can be committed"
        run.record(committed)
    return run


def _recoverable() -> Callable[[Situation], None]:
    """A check of situations, once for equal files: what a recovery meets is files alone."""
    met: set[tuple[tuple[str, bytes], ...]] = set()

    def check(situation: Situation) -> None:
        if situation.files in met:
            return
        met.add(situation.files)
        store = situation.store()
        part = store.files.get(PART)
        _recover(store).seal()
        _require_once(store)
        assert part is None or store.files[PART] == part, "what was there is never replaced"

    return check


def _require_explained(store: MemoryStore) -> None:
    """No part without its receipt or prepared receipt, no receipt without its part."""
    receipts = {path: store.files[path] for path in store.files if path.startswith(names.RECEIPTS)}
    prepared = [store.files[path] for path in store.files if path.startswith(names.PREPARED)]
    assert len(receipts) <= 1
    for data in receipts.values():
        assert Receipt.from_json(data).checksum == part_checksum(store, PART)
    if PART in store.files and not receipts:
        found = part_checksum(store, PART)
        assert found in {Receipt.from_json(data).checksum for data in prepared}


def _require_once(store: MemoryStore) -> None:
    """Exactly one part, and one receipt that counts and is that part's."""
    state = State(store)
    assert state.tally.splits == 1
    assert [entry["checksum"] for entry in state.entries()] == [part_checksum(store, PART)]
    assert [path for path in store.files if path.endswith(".parquet")] == [PART]


@pytest.mark.parametrize(
    "salts", [("", ""), ("x", "y"), ("", "", "z")], ids=["equal", "different", "three"]
)
def test_commit_in_every_interleaving_and_crash_leaves_one_part_and_its_receipt(
    salts: tuple[str, ...],
) -> None:
    processes = [_committer(f"attempt{n}", salt) for n, salt in enumerate(salts)]

    require_recoverable = _recoverable()

    def visit(situation: Situation) -> None:
        _require_explained(situation.store())
        require_recoverable(situation)
        if situation.ended:
            _require_once(situation.store())
            standing = {progress.result.checksum for progress in situation.progress}
            assert standing == {part_checksum(situation.store(), PART)}

    assert explore(beginning(_begun().files, processes), processes, visit) > 50


@pytest.mark.parametrize("salts", [("", ""), ("x", "y")], ids=["equal", "different"])
def test_zombies_after_a_recovery_at_any_point_change_nothing_that_counts(
    salts: tuple[str, str],
) -> None:
    processes = [_committer(f"attempt{n}", salt) for n, salt in enumerate(salts)]

    def recover_then_go_on(situation: Situation) -> None:
        store = situation.store()
        _recover(store).seal()
        after = Situation(tuple(sorted(store.files.items())), situation.progress)
        explore(after, processes, lambda late: _require_as_recovered(late, store))

    explore(beginning(_begun().files, processes), processes, recover_then_go_on)


def _require_as_recovered(late: Situation, recovered: MemoryStore) -> None:
    assert late.store().files[PART] == recovered.files[PART]
    if late.ended:
        _require_once(late.store())
        again = late.store()
        _recover(again, "again").seal()
        _require_once(again)


@pytest.mark.parametrize("salt", ["other", "mine"], ids=["equal", "different"])
def test_committer_beside_one_who_compacts_leaves_what_was_committed(salt: str) -> None:
    other = a_receipt(SPLIT, attempt="other", part=a_part(SPLIT, "other"))

    def commits_and_compacts(store: MemoryStore) -> None:
        compactor = Compactor(store, "other")
        committed = commit(store, other, a_part(SPLIT, "other"))
        if committed is not None:
            compactor.add(committed)
            compactor.flush()

    require_recoverable = _recoverable()

    def visit(situation: Situation) -> None:
        require_recoverable(situation)
        if situation.ended:
            _require_once(situation.store())

    processes = [commits_and_compacts, _committer("mine", salt)]
    assert explore(beginning(_begun().files, processes), processes, visit) > 50


def test_reader_beside_a_compacting_driver_meets_every_receipt_once() -> None:
    store = _begun()
    receipt = commit(store, a_receipt(SPLIT), a_part(SPLIT))
    assert receipt is not None

    def compacts(stepped: MemoryStore) -> None:
        compactor = Compactor(stepped, "one")
        compactor.add(receipt)
        compactor.flush()

    def reads(stepped: MemoryStore) -> int:
        return State(stepped).tally.splits

    found = set()

    def visit(situation: Situation) -> None:
        if situation.progress[1].ended:
            found.add(situation.progress[1].result)

    explore(beginning(store.files, [compacts, reads]), [compacts, reads], visit)
    assert found == {1}


def _two_committed() -> tuple[MemoryStore, list[Receipt]]:
    store, splits = _begun(), (a_split(index=0, last=False), a_split(index=1))
    made = [commit(store, a_receipt(split, rejected=1), a_part(split)) for split in splits]
    return store, [receipt for receipt in made if receipt is not None]


def test_reader_beside_a_driver_that_binds_segments_meets_every_receipt_once() -> None:
    store, receipts = _two_committed()

    def binds(stepped: MemoryStore) -> None:
        compactor = Compactor(stepped, "one", size=1, segments=2)
        for receipt in receipts:
            compactor.add(receipt)

    def reads(stepped: MemoryStore) -> tuple[int, list[int]]:
        state = State(stepped)
        return state.tally.splits, sorted(entry["index"] for entry in state.entries())

    found = []

    def visit(situation: Situation) -> None:
        if situation.progress[1].ended:
            found.append(situation.progress[1].result)

    assert explore(beginning(store.files, [binds, reads]), [binds, reads], visit) > 100
    assert found
    assert all(each == (2, [0, 1]) for each in found)


def test_two_drivers_that_bind_the_same_segments_lose_none_of_them() -> None:
    store, receipts = _two_committed()
    compactor = Compactor(store, "zero", size=1)
    for receipt in receipts:
        compactor.add(receipt)
    segments = [entry.path for entry in store.list(names.SEGMENTS)]

    def binds(attempt: str) -> Process:
        return lambda stepped: Compactor(stepped, attempt, segments=2).bind(segments)

    def visit(situation: Situation) -> None:
        state = State(situation.store())
        assert state.tally.splits == 2
        assert len(list(read_rejects(situation.store(), state))) == 2

    processes = [binds("one"), binds("two")]
    assert explore(beginning(store.files, processes), processes, visit) > 20


def test_opening_a_run_that_others_open_and_commit_to_disturbs_nobody() -> None:
    def opens(attempt: str) -> Process:
        return lambda store: open_run(store, [a_shard()], attempt).manifest.fingerprint

    require_recoverable = _recoverable()

    def visit(situation: Situation) -> None:
        require_recoverable(situation)
        if situation.ended:
            assert situation.progress[0].result is not None
            _require_once(situation.store())

    processes = [_committer("one"), opens("two")]
    explore(beginning(_begun().files, processes), processes, visit)


def test_two_drivers_that_begin_a_run_at_once_make_one_in_every_interleaving() -> None:
    shards = tuple(a_shard(name) for name in "ab")

    def begins(created: str) -> Process:
        def begin(store: MemoryStore) -> tuple[str, list[str]]:
            manifest = a_manifest(created=created).settle(store)
            records, coverage = ShardRecords(store), Coverage()
            coverage.expect(records)
            assert not register(records, coverage, shards, "parquet")
            return manifest.created, [record.shard.path for record in records]

        return begin

    def visit(situation: Situation) -> None:
        if situation.ended:
            results = [progress.result for progress in situation.progress]
            assert results[0] == results[1]
            assert results[0][1] == ["a", "b"]
            assert len(list(situation.store().list(names.SHARDS))) == 1

    processes = [begins("first"), begins("second")]
    assert explore(beginning({}, processes), processes, visit) > 20


def test_commit_by_many_threads_gives_everyone_the_same_receipt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    store, gate, standing = MemoryStore(), threading.Barrier(8), []

    def work(number: int) -> None:
        part = a_part(SPLIT, str(number % 3))
        gate.wait()
        standing.append(commit(store, a_receipt(SPLIT, attempt=str(number), part=part), part))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(standing) == 8
    assert {each and each.checksum for each in standing} == {part_checksum(store, PART)}
    assert sorted(store.files) == sorted([PART, RECEIPT])
