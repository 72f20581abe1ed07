"""Status: a run as its ledger tells it, whatever state it is in."""

from dataclasses import replace
from pathlib import Path

import pytest

from labelmill.errors import LedgerError
from labelmill.ledger.attempts import Attempt
from labelmill.ledger.commit import commit
from labelmill.ledger.run import Run
from labelmill.ledger.status import JSON_KEYS, read_status, rejects_of, status_of
from labelmill.ledger.tally import OTHER, Tally
from labelmill.splits import Break, Reject
from labelmill.storage import open_store
from tests.support.runs import (
    a_manifest,
    a_part,
    a_receipt,
    a_split,
    an_attempt,
    label,
    open_run,
    shards,
)
from tests.support.stores import MemoryStore


@pytest.mark.parametrize("shares", [(1.0, 0.9, 0.95), (0.9, 1.0, 0.95)])
def test_of_the_replicas_of_an_attempt_the_one_that_agrees_least_is_told(shares) -> None:
    store = MemoryStore()
    open_run(store, shards(1))
    for index, share in enumerate(shares):
        split = a_split("day/00000.jsonl", index, last=False)
        commit(store, a_receipt(split, agreement={"rows": 64.0, "agreement": share}), a_part(split))
    assert status_of(store).agreement == {"one": {"rows": 64.0, "agreement": 0.9}}


def test_status_of_a_running_run_counts_single_receipts_that_nobody_compacted() -> None:
    store = MemoryStore()
    open_run(store, shards(2))
    split = a_split("day/00000.jsonl", 0, last=False)
    agreement = {"rows": 10.0, "agreement": 1.0}
    receipt = a_receipt(split, rejected=3, agreement=agreement, replica={"device": "cpu"})
    commit(store, receipt, a_part(split))
    status = status_of(store)
    assert {name: status.to_json()[name] for name in JSON_KEYS} == {
        "rows_read": 10,
        "rows_labelled": 7,
        "rows_rejected": 3,
        "rows_repeated": 0,
        "shards": 2,
        "shards_damaged": 0,
        "splits": None,
        "splits_done": 1,
        "tokens": 100,
        "padding_fraction": pytest.approx(0.2),
        "seconds": 10.0,
        "rows_per_second": 1.0,
        "tokens_per_second": 10.0,
        "attempts": 1,
        "output": "mem://run",
        "complete": False,
    }
    assert status.rejects_by_reason == {"text: is null": 3}
    assert status.agreement == {"one": agreement}
    assert status.replica == {"one": {"device": "cpu"}}
    assert status.last_commit == 1000.0
    lines = {line.path: line for line in status.shard_lines}
    assert (lines["day/00000.jsonl"].splits_done, lines["day/00000.jsonl"].splits) == (1, None)


def test_status_of_a_run_that_labelled_nothing_yet_has_no_rates() -> None:
    store = MemoryStore()
    open_run(store, shards(1))
    status = status_of(store)
    assert (status.rows_per_second, status.padding_fraction, status.last_commit) == (0.0, 0.0, None)


def test_status_of_a_finished_run_tells_damaged_shards_and_the_number_of_splits() -> None:
    store = MemoryStore()
    run = open_run(store, shards(1))
    label(run, store, 2, breaks=(Break(start=5, stop=6, reason="page"),))
    run.seal()
    status = status_of(store)
    assert (status.complete, status.splits, status.shards_damaged) == (True, 2, 1)
    assert status.shard_lines[0].damaged


def test_status_without_a_run_is_refused() -> None:
    with pytest.raises(LedgerError, match="there is no run"):
        status_of(MemoryStore())


def test_seconds_of_attempts_that_overlap_count_once() -> None:
    tally = Tally()
    for attempt, last in (("a", 10.0), ("b", 14.0), ("c", 30.0)):
        tally.add(a_receipt(a_split(), attempt=attempt, time=last).to_entry())
    attempts = [_attempt("a", 0.0), _attempt("b", 6.0), _attempt("c", 20.0), _attempt("d", 99.0)]
    assert tally.seconds(attempts) == 24.0


def _attempt(name: str, started: float) -> Attempt:
    return replace(an_attempt(name), started=started)


def test_reasons_beyond_a_thousand_are_counted_together() -> None:
    tally = Tally()
    rejects = tuple(Reject(position=n, reason=f"line {n}") for n in range(1_005))
    tally.add(a_receipt(a_split(), rejects=rejects).to_entry())
    assert tally.reasons[OTHER] == 5
    assert tally.reasons.total() == 1_005


def test_rejects_of_a_local_run_come_with_their_places(tmp_path: Path) -> None:
    url = str(tmp_path)
    run = Run.open(url, a_manifest(), shards(1), attempt=an_attempt())
    label(run, open_store(url), 2, rejected=2)
    run.seal()
    placed = [(each.shard, each.reject.position) for each in rejects_of(url)]
    assert placed == [("day/00000.jsonl", n) for n in (0, 1, 10, 11)]


def test_status_of_a_file_is_that_there_is_no_run(tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text("task: a")
    with pytest.raises(LedgerError, match="there is no run in"):
        read_status(str(job))
