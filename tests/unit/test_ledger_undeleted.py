"""A store where nothing may be deleted: what a run needs of it, and what it does without."""

import pytest

from labelmill.errors import StorageError
from labelmill.ledger import names
from labelmill.ledger.segments import Compactor, read_rejects
from labelmill.ledger.state import State
from labelmill.splits import Break
from tests.support.runs import a_receipt, a_shard, a_split, committed, label, open_run, shards
from tests.support.stores import FaultyStore, MemoryStore, failing


def test_run_is_labelled_sealed_and_opened_again_without_deleting() -> None:
    inner = MemoryStore()
    store = failing(inner, "delete", "")
    run = open_run(store, shards(3))
    label(run, store, rejected=1)
    assert run.seal().complete
    assert "no delete today" in str(run.undeleted)

    kept = set(inner.files)
    again = open_run(store, shards(3), "two")
    assert not again.pending()
    assert again.totals().rows_read == 90
    assert set(inner.files) - kept == {names.attempt("two")}, "nothing is compacted twice"
    assert len(list(read_rejects(store, State(store)))) == 9

    freed = open_run(inner, shards(3), "three")
    assert freed.undeleted is None
    assert not any(path.startswith((names.RECEIPTS, names.PREPARED)) for path in inner.files)


def test_first_refusal_is_the_last_try() -> None:
    tried: list[str] = []

    def refuse(verb: str, path: str) -> None:
        if verb == "delete" and path.startswith(names.RECEIPTS):
            tried.append(path)
            raise StorageError(f"{path!r}: access denied")

    inner = MemoryStore()
    compactor = Compactor(FaultyStore(inner, refuse), "one", size=1)
    for receipt in committed(inner, 4):
        compactor.add(receipt)
    assert len(tried) == 1


def test_segments_that_stand_in_a_volume_are_bound_once() -> None:
    inner = MemoryStore()
    compactor = Compactor(failing(inner, "delete", ""), "one", size=1, segments=2)
    for receipt in committed(inner, 4):
        compactor.add(receipt)
    state = State(inner)
    assert (len(state.bound), state.segments, state.tally.splits) == (4, [], 4)

    open_run(inner, shards(1), "two")
    assert not list(inner.list(names.SEGMENTS))
    assert len(list(inner.list(names.VOLUMES))) == 2


def test_void_receipt_that_stands_in_the_way_is_told_before_anything_is_labelled() -> None:
    inner = MemoryStore()
    run = open_run(inner, [a_shard()])
    split = a_split()
    receipt = a_receipt(split)
    label(run, inner, splits=1)
    del inner.files[receipt.part]

    with pytest.raises(StorageError, match=r"mem://run/_labelmill/receipts/.* must be deleted"):
        open_run(failing(inner, "delete", ""), [a_shard()], "two")
    label(again := open_run(inner, [a_shard()], "three"), inner, splits=1)
    assert again.seal().splits_done == 1


def test_part_of_a_replaced_shard_that_cannot_be_deleted_is_named() -> None:
    inner = MemoryStore()
    damaged = (Break(start=10, stop=None, reason="cut"),)
    label(open_run(inner, [a_shard()]), inner, splits=1, breaks=damaged)
    mended = [a_shard(version="2")]
    with pytest.raises(StorageError, match=r"mem://run/a\.jsonl-00000\.parquet' must be deleted"):
        open_run(failing(inner, "delete", ""), mended, "two")
    assert open_run(inner, mended, "three").pending()
