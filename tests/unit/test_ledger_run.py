"""A run opened, labelled, interrupted, opened again: always on a store in memory or a local one."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from labelmill.errors import (
    CorruptRun,
    FingerprintChanged,
    InputError,
    LedgerError,
    StorageError,
    UnfinishedRun,
)
from labelmill.ledger import names
from labelmill.ledger.attempts import Attempt
from labelmill.ledger.commit import commit
from labelmill.ledger.run import Run
from labelmill.ledger.segments import read_rejects
from labelmill.ledger.state import State
from labelmill.ledger.status import status_of
from labelmill.ledger.voids import Void, record_voids
from labelmill.splits import Break, Shard
from labelmill.storage import Store, open_store
from tests.support.runs import (
    a_manifest,
    a_part,
    a_receipt,
    a_shard,
    a_split,
    an_attempt,
    label,
    open_run,
    shards,
)
from tests.support.stores import FaultyStore, Killed, MemoryStore, failing, killing


def _parts(store: MemoryStore) -> dict[str, bytes]:
    return {path: data for path, data in store.files.items() if not names.inside(path)}


def _labelled(count: int = 2, splits: int = 3, rejected: int = 0) -> MemoryStore:
    store = MemoryStore()
    run = open_run(store, shards(count))
    label(run, store, splits, rejected=rejected)
    run.seal()
    return store


def test_run_labelled_to_the_end_is_sealed_and_totals_are_the_sums() -> None:
    store = MemoryStore()
    run = open_run(store, shards(2))
    label(run, store, 3, rejected=2)
    totals = run.seal()
    assert (totals.rows_read, totals.rows_labelled, totals.rows_rejected) == (60, 48, 12)
    assert (totals.shards, totals.shards_done, totals.splits, totals.splits_done) == (2, 2, 6, 6)
    assert totals.complete
    assert run.pending() == []
    assert status_of(store).complete
    assert status_of(store).rejects_by_reason == {"text: is null": 12}
    assert len(_parts(store)) == 6


def test_run_on_a_local_disk_leaves_no_name_that_datasets_could_take_for_data(
    tmp_path: Path,
) -> None:
    store = open_store(str(tmp_path))
    run = Run.open(str(tmp_path), a_manifest(), shards(2), attempt=an_attempt())
    label(run, store, rejected=1)
    run.seal()
    ledger = [path for path in (tmp_path / names.ROOT).rglob("*") if path.is_file()]
    assert len(ledger) > 5
    assert not [path for path in ledger if "." in str(path.relative_to(tmp_path))]


def test_pending_after_a_crash_holds_what_is_done_of_every_open_shard() -> None:
    store = MemoryStore()
    run = open_run(store, shards(3))
    for work in run.pending()[:2]:
        for index in (0, 2) if work.shard.path.endswith("0.jsonl") else (0, 1, 2):
            split = a_split(work.shard.path, index, last=index == 2)
            commit(store, a_receipt(split), a_part(split))
    again = open_run(store, shards(3), "two")
    assert [(work.shard.path, sorted(work.done)) for work in again.pending()] == [
        ("day/00000.jsonl", [0, 2]),
        ("day/00002.jsonl", []),
    ]
    assert again.pending()[0].done[2] == a_split("day/00000.jsonl", 2, last=True)


def test_pending_of_slices_covers_every_shard_once_and_stays_when_shards_come() -> None:
    store = MemoryStore()
    run = open_run(store, shards(5))
    slices = [[work.shard.path for work in run.pending((n, 3))] for n in range(3)]
    assert sorted(itertools.chain.from_iterable(slices)) == [shard.path for shard in shards(5)]
    newer = (a_shard("aaa.jsonl"), *shards(5))
    grown = open_run(store, newer, "two")
    for n in range(3):
        before, after = slices[n], [work.shard.path for work in grown.pending((n, 3))]
        assert after[: len(before)] == before
    with pytest.raises(LedgerError, match="slice"):
        run.pending((3, 3))


def test_run_with_new_shards_has_more_pending_and_needs_a_new_seal() -> None:
    store = _labelled(2)
    run = open_run(store, shards(3), "two")
    assert [work.shard.path for work in run.pending()] == ["day/00002.jsonl"]
    assert not status_of(store).complete
    label(run, store)
    assert run.seal().complete


def test_seal_of_an_unfinished_run_is_refused_naming_a_shard() -> None:
    store = MemoryStore()
    run = open_run(store, shards(2))
    with pytest.raises(UnfinishedRun, match=r"2 of 2 shards.*day/00000\.jsonl"):
        run.seal()


def test_run_with_other_settings_is_refused_and_nothing_is_written() -> None:
    store = _labelled()
    before = dict(store.files)
    with pytest.raises(FingerprintChanged):
        Run.on(store, a_manifest(settings={"task": "x"}), shards(2), attempt=an_attempt("two"))
    assert store.files == before


@pytest.mark.parametrize(
    ("change", "told"), [({"size": 7}, "size was 100, is 7"), ({"version": "2"}, "'1', is '2'")]
)
def test_run_with_a_changed_shard_is_refused_by_name(change: dict[str, str], told: str) -> None:
    store = _labelled()
    changed = (shards(2)[0], a_shard("day/00001.jsonl", **change))
    with pytest.raises(InputError, match=rf"day/00001\.jsonl.*{told}"):
        open_run(store, changed, "two")


def test_run_whose_source_was_moved_goes_on_with_the_files_where_they_are() -> None:
    store = MemoryStore()
    open_run(store, shards(1))
    moved = Shard(path="day/00000.jsonl", url="s3://b/0", format="jsonl", size=100, version="1")
    assert open_run(store, [moved], "two").pending()[0].shard == moved
    assert next(iter(State(store).records)).shard == moved


def test_shard_that_is_gone_is_missed_only_before_it_is_done() -> None:
    store = _labelled(2)
    assert open_run(store, shards(1), "two").pending() == []
    open_run(store, shards(3), "three")
    with pytest.raises(InputError, match=r"day/00002\.jsonl.*no longer"):
        open_run(store, shards(2), "four")


@pytest.mark.parametrize(
    "path",
    [
        "_labelmill/x.jsonl",
        "a/../b.jsonl",
        "/a.jsonl",
        f"{'n' * 240}.jsonl",
        "\u4e2d" * 80,
    ],
)
def test_shard_that_no_part_can_be_named_after_is_refused(path: str) -> None:
    with pytest.raises(InputError, match="name"):
        open_run(MemoryStore(), [a_shard(path)])


def test_two_shards_of_one_name_are_refused_naming_both() -> None:
    twice = [a_shard(), Shard(path="a.jsonl", url="/other", format="jsonl", size=1, version="1")]
    with pytest.raises(InputError, match=r"/in/a\.jsonl.*/other"):
        open_run(MemoryStore(), twice)


@pytest.mark.parametrize("name", ["b.parquet", "old/x.csv", "X.JSONL"])
def test_run_does_not_begin_where_other_data_lies(name: str) -> None:
    with pytest.raises(LedgerError, match=name):
        open_run(MemoryStore({name: b"x"}), shards(1))
    assert open_run(MemoryStore({"README": b"x"}), shards(1)).pending()


def test_run_whose_manifest_was_deleted_is_corrupt() -> None:
    store = _labelled()
    del store.files[names.MANIFEST]
    for part in _parts(store):
        del store.files[part]
    with pytest.raises(CorruptRun, match="no manifest"):
        open_run(store, shards(2), "two")


def test_foreign_files_in_the_output_are_told_and_left_alone() -> None:
    store = _labelled(1)
    strangers = {"mine.parquet": b"1", "day/00000.jsonl-00009.parquet": b"2", "x-1.csv": b"3"}
    store.files |= strangers
    run = open_run(store, shards(1), "two")
    assert run.foreign == tuple(sorted(strangers))
    assert strangers.items() <= store.files.items()


def test_part_of_an_open_shard_that_nothing_explains_is_corrupt() -> None:
    store = MemoryStore()
    open_run(store, shards(1))
    store.files["day/00000.jsonl-00000.parquet"] = b"whose?"
    with pytest.raises(CorruptRun, match=r"00000\.parquet.*no receipt"):
        open_run(store, shards(1), "two")


def test_part_of_another_size_than_recorded_is_corrupt() -> None:
    store = _labelled(1)
    store.files["day/00000.jsonl-00001.parquet"] += b"!"
    with pytest.raises(CorruptRun, match=r"00001\.parquet"):
        open_run(store, shards(1), "two")


def test_part_that_was_deleted_is_done_again_and_only_it() -> None:
    store = _labelled(2)
    whole = _parts(store)
    gone = "day/00001.jsonl-00001.parquet"
    for attempt in ("two", "three"):
        del store.files[gone]
        run = open_run(store, shards(2), attempt)
        assert [(w.shard.path, sorted(w.done)) for w in run.pending()] == [
            ("day/00001.jsonl", [0, 2])
        ]
        assert not status_of(store).complete
        label(run, store)
        assert run.seal().rows_read == 60
        assert _parts(store) == whole


def test_part_written_beside_a_void_receipt_is_adopted_by_the_next_open() -> None:
    store = _labelled(1)
    part = "day/00000.jsonl-00001.parquet"
    del store.files[part]
    split = a_split("day/00000.jsonl", 1, last=False)
    # A driver died between voiding the receipt and deleting it, while another one commits.
    voided = a_receipt(split)
    store.files[names.receipt(split.id, 0)] = voided.to_json()
    record_voids(store, "two", [Void.of(voided.to_entry())])
    assert commit(store, a_receipt(split, attempt="three"), b"other bytes") is None
    run = open_run(store, shards(1), "four")
    assert run.pending() == []
    assert run.seal().splits_done == 3
    assert store.files[part] == b"other bytes"


def test_part_that_an_old_listing_misses_is_not_voided() -> None:
    store = _labelled(1)
    hidden = FaultyStore(store)
    hidden.list = lambda prefix="", **_: (  # type: ignore[method-assign]
        entry for entry in store.list(prefix) if "00001.parquet" not in entry.path
    )
    assert open_run(hidden, shards(1), "two").pending() == []
    assert list(store.list(names.VOIDS)) == []


def test_output_where_something_else_keeps_writing_parts_is_given_up() -> None:
    store = MemoryStore()
    open_run(store, shards(1))

    def strange(verb: str, path: str) -> None:
        if (verb, path) == ("list", ""):
            strange.count += 1  # type: ignore[attr-defined]
            for name in [name for name in store.files if name.endswith(".parquet")]:
                del store.files[name]
            store.files[f"day/00000.jsonl-{strange.count:05d}.parquet"] = b"?"  # type: ignore[attr-defined]

    strange.count = 0  # type: ignore[attr-defined]
    with pytest.raises(StorageError, match="changed during"):
        open_run(FaultyStore(store, strange), shards(1), "two")


def test_attempt_whose_name_is_taken_by_another_is_refused() -> None:
    store = MemoryStore()
    open_run(store, shards(1))
    open_run(store, shards(1))  # the same attempt: its request was repeated
    other = an_attempt("one")
    with pytest.raises(LedgerError, match="recorded already"):
        Run.on(store, a_manifest(), shards(1), attempt=replace(other, pid=2))
    assert Attempt().name != Attempt().name


def test_receipts_beyond_the_last_split_are_corrupt() -> None:
    for first, second in ((1, 3), (3, 1)):
        store = MemoryStore()
        open_run(store, shards(1))
        for index in (first, second):
            split = a_split("day/00000.jsonl", index, last=index == 1)
            commit(store, a_receipt(split), a_part(split))
        with pytest.raises(CorruptRun, match="after its last split"):
            open_run(store, shards(1), "two")


def test_receipt_of_a_shard_that_was_never_recorded_is_corrupt() -> None:
    store = MemoryStore()
    open_run(store, shards(1))
    commit(store, a_receipt(a_split("stranger")), a_part(a_split("stranger")))
    with pytest.raises(CorruptRun, match="'stranger'"):
        State(store)


def test_part_deleted_while_the_run_works_is_noticed_by_the_seal() -> None:
    store = MemoryStore()
    run = open_run(store, shards(1))
    label(run, store)
    del store.files["day/00000.jsonl-00001.parquet"]
    with pytest.raises(UnfinishedRun):
        run.seal()
    again = open_run(store, shards(1), "two")
    label(again, store)
    assert again.seal().complete


def test_seal_removes_what_killed_writers_left_and_opening_does_not(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    Run.open(str(tmp_path), a_manifest(), shards(2), attempt=an_attempt())
    left = [tmp_path / f".tmp-{'0' * 32}", tmp_path / names.PREPARED / f".tmp-{'f' * 32}"]
    left[1].parent.mkdir()
    for place in left:
        place.write_bytes(b"half")
    run = Run.open(str(tmp_path), a_manifest(), shards(2), attempt=an_attempt("two"))
    with pytest.raises(UnfinishedRun):
        run.seal()
    assert sorted(tmp_path.rglob(".tmp-*")) == sorted(left)
    label(run, store)
    assert run.seal().complete
    assert list(tmp_path.rglob(".tmp-*")) == []


def test_run_is_sealed_where_temporaries_cannot_be_removed() -> None:
    inner = MemoryStore()
    run = open_run(failing(inner, "sweep", ""), shards(1))
    label(run, inner)
    assert run.seal().complete


def test_seal_on_a_store_where_two_writers_can_win_compares_checksums() -> None:
    store = MemoryStore(exclusive=False)
    run = open_run(store, shards(1))
    label(run, store)
    part = "day/00000.jsonl-00001.parquet"
    store.files[part] = bytes(len(store.files[part]))
    with pytest.raises(CorruptRun, match=r"00001\.parquet"):
        run.seal()


BROKEN = (Break(start=30, stop=None, reason="gzip: unexpected end"),)


def _damaged(store: Store, attempt: str = "one") -> Run:
    """Two shards labelled; the first is broken after its third split."""
    run = open_run(store, shards(2), attempt)
    for work in run.pending():
        for index in range(3):
            split = a_split(work.shard.path, index, last=index == 2)
            broken = BROKEN if split.last and work.shard.path.endswith("0.jsonl") else ()
            receipt = a_receipt(split, breaks=broken, attempt=attempt, rejected=1)
            committed = commit(store, receipt, a_part(split))
            assert committed is not None
            run.record(committed)
    return run


def _mended() -> tuple[Shard, ...]:
    return (a_shard("day/00000.jsonl", size=500, version="9"), shards(2)[1])


def _label_anew(store: Store, attempt: str, splits: int) -> Run:
    run = open_run(store, _mended(), attempt)
    for work in run.pending():
        for index in range(splits):
            if index not in work.done:
                split = a_split(work.shard.path, index, last=index == splits - 1)
                part = a_part(split, "mended")
                receipt = a_receipt(split, part=part, generation=work.generation, attempt=attempt)
                committed = commit(store, receipt, part)
                assert committed is not None
                run.record(committed)
    return run


@pytest.mark.parametrize("splits", [2, 5])
def test_damaged_shard_that_is_replaced_is_labelled_anew_from_nothing(splits: int) -> None:
    store = MemoryStore()
    assert _damaged(store).seal().shards_damaged == 1
    run = open_run(store, _mended(), "two")
    assert [(w.shard.size, w.generation, dict(w.done)) for w in run.pending()] == [(500, 1, {})]
    assert [path for path in _parts(store) if "00000.jsonl" in path] == []
    totals = _label_anew(store, "three", splits).seal()
    assert (totals.rows_read, totals.rows_rejected, totals.shards_damaged) == (
        splits * 10 + 30,
        3,
        0,
    )
    assert len(_parts(store)) == splits + 3
    assert sum(1 for _ in read_rejects(store, State(store))) == 3


def test_what_replaced_a_damaged_shard_may_be_replaced_until_it_is_begun() -> None:
    store = MemoryStore()
    _damaged(store).close()
    open_run(store, _mended(), "two")
    again = (a_shard("day/00000.jsonl", size=600, version="10"), shards(2)[1])

    run = open_run(store, again, "three")

    assert [(w.shard.size, w.generation) for w in run.pending()] == [(600, 2)]
    first = a_split("day/00000.jsonl", 0, last=False)
    assert commit(store, a_receipt(first, generation=2, attempt="three"), a_part(first)) is not None
    with pytest.raises(InputError, match="changed since the run began"):
        open_run(store, _mended(), "four")


def test_part_that_a_zombie_of_a_replaced_shard_writes_is_cleaned_away() -> None:
    store = MemoryStore()
    _damaged(store).close()
    open_run(store, _mended(), "two")
    late = a_split("day/00000.jsonl", 0, last=False)
    assert commit(store, a_receipt(late), a_part(late)) is not None
    fresh = a_receipt(late, attempt="two", generation=1, part=b"new")
    assert commit(store, fresh, b"new") is None
    totals = _label_anew(store, "three", 2).seal()
    assert totals.rows_read == 50
    assert store.files["day/00000.jsonl-00000.parquet"] == a_part(late, "mended")


def _killed_everywhere(begin: MemoryStore, work: Callable[[Store], object]) -> list[MemoryStore]:
    """What a kill before each verb leaves behind, the last being work that came to its end."""
    left: list[MemoryStore] = []
    while True:
        store = begin.copy()
        try:
            work(killing(store, len(left)))
        except Killed:
            left.append(store)
            continue
        return [*left, store]


def test_replacing_a_shard_killed_at_every_step_ends_in_the_same_run() -> None:
    begin = MemoryStore()
    _damaged(begin).seal()
    left = _killed_everywhere(begin, lambda store: open_run(store, _mended(), "two"))
    assert len(left) > 20
    for store in left:
        totals = _label_anew(store, "three", 2).seal()
        assert (totals.rows_read, totals.splits_done, totals.rows_rejected) == (50, 5, 3)
        assert len(_parts(store)) == 5
        assert open_run(store, _mended(), "four").foreign == ()


def test_run_killed_at_every_step_of_all_its_work_ends_in_the_same_run() -> None:
    def work(store: Store) -> None:
        run = open_run(store, shards(2), "one")
        label(run, store, 2, rejected=1)
        run.seal()

    whole = MemoryStore()
    work(whole)
    left = _killed_everywhere(MemoryStore(), work)
    assert len(left) > 40
    for store in left:
        run = open_run(store, shards(2), "two")
        label(run, store, 2, rejected=1)
        totals = run.seal()
        assert _parts(store) == _parts(whole)
        assert (totals.splits_done, totals.rows_read, totals.rows_rejected) == (4, 40, 4)
        assert sum(1 for _ in read_rejects(store, State(store))) == 4


def test_voiding_killed_at_every_step_ends_in_the_same_run() -> None:
    begin = _labelled(1)
    gone = "day/00000.jsonl-00001.parquet"
    del begin.files[gone]

    def work(store: Store) -> None:
        run = open_run(store, shards(1), "two")
        label(run, store)
        run.close()

    for store in _killed_everywhere(begin, work):
        run = open_run(store, shards(1), "three")
        label(run, store)
        assert run.seal().splits_done == 3
        assert gone in store.files


def test_two_drivers_with_slices_finish_one_run() -> None:
    store = MemoryStore()
    first, second = open_run(store, shards(4), "one"), open_run(store, shards(4), "two")
    for number, run in enumerate((first, second)):
        for work in run.pending((number, 2)):
            split = a_split(work.shard.path, 0, last=True)
            committed = commit(store, a_receipt(split, attempt=run.attempt.name), a_part(split))
            assert committed is not None
            run.record(committed)
        run.close()
    assert first.seal().splits_done == 4
    assert second.seal().complete


def test_record_of_a_receipt_counts_it_once() -> None:
    store = MemoryStore()
    run = open_run(store, shards(1))
    split = a_split("day/00000.jsonl", 0, last=True)
    receipt = commit(store, a_receipt(split), a_part(split))
    assert receipt is not None
    assert (run.record(receipt), run.record(receipt)) == (True, False)
    assert run.totals().rows_read == 10


def test_run_opened_again_with_nothing_left_is_complete_at_once() -> None:
    store = _labelled()
    before = _parts(store)
    run = open_run(store, shards(2), "two")
    assert run.pending() == []
    assert run.totals().complete
    assert run.seal().attempts == 2
    assert _parts(store) == before


def test_run_is_opened_and_left_while_another_driver_never_rests() -> None:
    inner = MemoryStore()
    other = open_run(inner, shards(2), "other")
    waiting = [a_split(shards(2)[1].path, index, last=False) for index in range(20)]

    def before(verb: str, path: str) -> None:
        """Between the reading of the ledger and every listing of the parts one is committed."""
        if verb == "list" and not path:
            split = waiting.pop()
            receipt = commit(inner, a_receipt(split, attempt="other"), a_part(split))
            assert receipt is not None
            assert other.record(receipt)

    run = open_run(FaultyStore(inner, before), shards(2), "mine")
    assert run.totals().splits_done == 20 - len(waiting)
    with pytest.raises(UnfinishedRun):
        run.seal()
    assert run.totals().splits_done == 20 - len(waiting) < 20
