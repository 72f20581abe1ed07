"""Verification: what is wrong with a run is found by name, and nothing is found in a whole one."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from labelmill.cli import group
from labelmill.errors import CorruptRun, LedgerError
from labelmill.ledger import lines, names
from labelmill.ledger.commit import commit
from labelmill.ledger.run import Run
from labelmill.ledger.shards import ShardRecords, register
from labelmill.ledger.state import State
from labelmill.splits import Break, Shard, Split
from labelmill.storage import open_store
from labelmill.verification import Problem, verify
from tests.support.runs import ROWS, a_manifest, a_receipt, an_attempt

SPLITS = 3


@pytest.fixture
def source(tmp_path: Path) -> tuple[Shard, ...]:
    """Two JSONL shards of thirty lines."""
    (tmp_path / "in").mkdir()
    return tuple(_shard(tmp_path / "in" / f"{name}.jsonl") for name in "ab")


def _shard(path: Path, rows: int = ROWS * SPLITS) -> Shard:
    path.write_text('{"text": "x"}\n' * rows)
    found = path.stat()
    return Shard(
        path=path.name,
        url=str(path),
        format="jsonl",
        size=found.st_size,
        version=str(found.st_mtime_ns),
    )


def _part(split: Split, rows: int = ROWS) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"label": [f"{split.id} {n}" for n in range(rows)]}), sink)
    return bytes(sink.getvalue())


def _run(output: Path, source: tuple[Shard, ...], attempt: str = "one") -> Run:
    return Run.open(str(output), a_manifest(), source, attempt=an_attempt(attempt))


def _label(
    output: Path,
    source: tuple[Shard, ...],
    gap: int = 0,
    breaks: tuple[Break, ...] = (),
    splits: int = SPLITS,
) -> Run:
    """Label all; `gap` positions of every shard are left out before its last split."""
    run, store = _run(output, source), open_store(str(output))
    for work in run.pending():
        for index in range(splits):
            last = index == SPLITS - 1
            start = index * ROWS + (gap if last else 0)
            split = Split(
                shard=work.shard.path, index=index, start=start, stop=start + ROWS, last=last
            )
            part = _part(split, ROWS - 1)
            receipt = a_receipt(split, part=part, rejected=1, breaks=breaks if last else ())
            committed = commit(store, receipt, part)
            assert committed is not None
            run.record(committed)
    return run


@pytest.fixture
def output(tmp_path: Path, source: tuple[Shard, ...]) -> Path:
    _label(tmp_path / "out", source).seal()
    return tmp_path / "out"


def _only(output: Path, *, source: bool = False) -> Problem:
    found = verify(str(output), source=source)
    assert not found.ok
    assert len(found.problems) == 1
    return found.problems[0]


def test_verify_of_a_whole_run_finds_nothing_and_says_what_it_compared(output: Path) -> None:
    steps: list[tuple[int, int]] = []
    found = verify(str(output), source=True, progress=lambda done, of: steps.append((done, of)))
    assert found.ok
    assert (found.shards, found.parts, found.rows_read) == (2, 6, 60)
    assert (found.rows_written, found.rows_rejected) == (54, 6)
    assert found.part_bytes == sum(path.stat().st_size for path in output.glob("*.parquet"))
    assert steps == [(n, 6) for n in range(1, 7)]


def test_verify_finds_a_part_that_is_gone(output: Path) -> None:
    (output / "a.jsonl-00001.parquet").unlink()
    problem = _only(output)
    assert (problem.kind, problem.path) == ("missing", "a.jsonl-00001.parquet")


def test_verify_finds_a_part_that_was_cut(output: Path) -> None:
    part = output / "a.jsonl-00001.parquet"
    part.write_bytes(part.read_bytes()[:-5])
    assert (_only(output).kind, _only(output).path) == ("truncated", part.name)


def test_verify_finds_one_changed_byte(output: Path) -> None:
    part = output / "b.jsonl-00002.parquet"
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    assert (_only(output).kind, _only(output).path) == ("altered", part.name)


def test_verify_finds_foreign_parts_and_data(output: Path) -> None:
    whole = (output / "a.jsonl-00001.parquet").read_bytes()
    (output / "a.jsonl-00007.parquet").write_bytes(whole)
    (output / "more.parquet").write_bytes(whole)
    # The library `datasets` reads both with the parts.
    (output / "a.jsonl-00001.parquet.bak").write_bytes(whole)
    (output / "old.JSONL.gz").write_bytes(whole)
    (output / "README.md").write_text("no data")
    found = verify(str(output)).problems
    assert {(problem.kind, problem.path) for problem in found} == {
        ("foreign", "a.jsonl-00001.parquet.bak"),
        ("foreign", "a.jsonl-00007.parquet"),
        ("foreign", "old.JSONL.gz"),
        ("foreign", "more.parquet"),
    }


def test_verify_finds_an_unfinished_run(tmp_path: Path, source: tuple[Shard, ...]) -> None:
    _label(tmp_path / "out", source, splits=SPLITS - 1).close()
    found = verify(str(tmp_path / "out")).problems
    assert [(problem.kind, problem.path) for problem in found] == [
        ("unfinished", "a.jsonl"),
        ("unfinished", "b.jsonl"),
    ]


def test_verify_finds_a_run_that_was_never_sealed(
    tmp_path: Path, source: tuple[Shard, ...]
) -> None:
    _label(tmp_path / "out", source).close()
    assert (_only(tmp_path / "out").kind, _only(tmp_path / "out").found) == (
        "unfinished",
        "no seal",
    )


def test_verify_finds_a_gap_between_splits(tmp_path: Path, source: tuple[Shard, ...]) -> None:
    _label(tmp_path / "out", source[:1], gap=3).seal()
    problem = _only(tmp_path / "out")
    assert (problem.kind, problem.path) == ("miscounted", "a.jsonl")
    assert problem.found == "split 2 starts at 23"


@pytest.mark.parametrize(
    "breaks",
    [
        (Break(start=20, stop=23, reason="page"),),
        (Break(start=22, stop=None, reason="page"), Break(start=20, stop=22, reason="page")),
    ],
)
def test_verify_accepts_a_gap_that_breaks_explain(
    tmp_path: Path, source: tuple[Shard, ...], breaks: tuple[Break, ...]
) -> None:
    _label(tmp_path / "out", source[:1], gap=3, breaks=breaks).seal()
    assert verify(str(tmp_path / "out"), source=True).ok


def test_verify_tells_of_damaged_shards(
    tmp_path: Path, source: tuple[Shard, ...], output: Path
) -> None:
    breaks = (Break(start=20, stop=23, reason="page"),)
    _label(tmp_path / "damaged", source[:1], gap=3, breaks=breaks).seal()

    ended = {
        (place, *options): CliRunner().invoke(group, ["verify", str(place), *options])
        for place in (output, tmp_path / "damaged")
        for options in ([], ["--json"])
    }

    codes = [each.exit_code for each in ended.values()]
    whole, whole_json, damaged, damaged_json = (each.stdout for each in ended.values())
    assert codes == [0, 0, 0, 0]
    assert "every row is there once" in whole
    assert "every row that could be read is there once; damaged shards: 1" in flat(damaged)
    assert f"labelmill status {tmp_path / 'damaged'} --damage" in flat(damaged)
    told = [json.loads(each) for each in (whole_json, damaged_json)]
    assert [(each["ok"], each["shards_damaged"]) for each in told] == [(True, 0), (True, 1)]


def flat(text: str) -> str:
    """Without the line breaks that a narrow terminal gets."""
    return " ".join(text.split())


@pytest.mark.parametrize("piece", [(21, 23), (20, 22), (0, 20)])
def test_verify_finds_a_gap_that_breaks_explain_in_part(
    tmp_path: Path, source: tuple[Shard, ...], piece: tuple[int, int]
) -> None:
    breaks = (Break(start=piece[0], stop=piece[1], reason="page"),)
    _label(tmp_path / "out", source[:1], gap=3, breaks=breaks).seal()
    assert _only(tmp_path / "out").kind == "miscounted"


def test_verify_finds_rows_that_the_part_does_not_have(
    tmp_path: Path, source: tuple[Shard, ...]
) -> None:
    run, store = _run(tmp_path / "out", source[:1]), open_store(str(tmp_path / "out"))
    split = Split(shard="a.jsonl", index=0, start=0, stop=30, last=True)
    receipt = a_receipt(split, part=b"", rows_read=30, rows_labelled=30, rows_written=30)
    committed = commit(store, receipt, _part(split, 29))
    assert committed is not None
    run.record(committed)
    run.seal()
    problem = _only(tmp_path / "out", source=True)
    assert (problem.kind, problem.found, problem.expected) == ("miscounted", "29 rows", "30 rows")


def test_verify_with_source_finds_rows_that_nobody_read(
    tmp_path: Path, source: tuple[Shard, ...]
) -> None:
    longer = (_shard(tmp_path / "in" / "a.jsonl", rows=31), source[1])
    _label(tmp_path / "out", longer).seal()
    assert verify(str(tmp_path / "out")).ok
    problem = _only(tmp_path / "out", source=True)
    assert (problem.kind, problem.path, problem.expected) == ("miscounted", "a.jsonl", "31 rows")


@pytest.mark.parametrize("change", ["touched", "gone"])
def test_verify_with_source_finds_a_shard_that_is_another_now(
    output: Path, source: tuple[Shard, ...], change: str
) -> None:
    path = Path(source[0].url)
    if change == "gone":
        path.unlink()
    else:
        os.utime(path, ns=(1, 1))
    assert verify(str(output)).ok
    assert (_only(output, source=True).kind, _only(output, source=True).path) == (
        "changed source",
        "a.jsonl",
    )


def test_verify_finds_rejects_that_are_gone(output: Path) -> None:
    folder = output / names.REJECTS
    for path in folder.iterdir():
        kept = list(lines.unpack(path.name, path.read_bytes()))
        path.write_bytes(lines.pack(kept[1:]))
    problem = _only(output)
    assert (problem.kind, problem.found, problem.expected) == (
        "miscounted",
        "2 rejects kept",
        "3 rejects",
    )
    for path in folder.iterdir():
        path.unlink()
    assert _only(output).kind == "altered"


def test_verify_finds_a_part_of_a_replaced_shard(tmp_path: Path, source: tuple[Shard, ...]) -> None:
    output, broken = tmp_path / "out", (Break(start=30, stop=None, reason="gzip"),)
    _label(output, source[:1], breaks=broken).seal()
    mended = _shard(tmp_path / "in" / "a.jsonl", rows=5)
    state = State(open_store(str(output)))
    assert register(state.records, state.coverage, [mended], "parquet")
    found = {
        (problem.kind, problem.path, problem.found) for problem in verify(str(output)).problems
    }
    what = "the part of a shard that was replaced"
    assert found == {("unfinished", "a.jsonl", "0 splits")} | {
        ("foreign", f"a.jsonl-{n:05d}.parquet", what) for n in range(3)
    }


def test_verify_finds_bytes_that_are_no_part_though_recorded(
    tmp_path: Path, source: tuple[Shard, ...]
) -> None:
    run, store = _run(tmp_path / "out", source[:1]), open_store(str(tmp_path / "out"))
    split = Split(shard="a.jsonl", index=0, start=0, stop=30, last=True)
    committed = commit(store, a_receipt(split), b"no parquet")
    assert committed is not None
    run.record(committed)
    run.seal()
    assert (_only(tmp_path / "out").kind, _only(tmp_path / "out").expected) == (
        "miscounted",
        "10 rows",
    )


def test_verify_finds_receipts_that_do_not_add_up(output: Path) -> None:
    for path in (output / names.SEGMENTS).iterdir():
        entries = list(lines.unpack(path.name, path.read_bytes()))
        entries[0]["rows_read"] += 1
        path.write_bytes(lines.pack(entries))
    assert {problem.kind for problem in verify(str(output)).problems} == {"miscounted"}
    with pytest.raises(CorruptRun, match="do not add up"):
        Run.open(
            str(output),
            a_manifest(),
            [record.shard for record in _records(output)],
            attempt=an_attempt("two"),
        ).seal()


def _records(output: Path) -> ShardRecords:
    return ShardRecords(open_store(str(output)))


def test_verify_with_source_finds_a_shard_that_can_no_longer_be_read(
    tmp_path: Path, source: tuple[Shard, ...]
) -> None:
    path = tmp_path / "in" / "c.jsonl.gz"
    path.write_bytes(b"no gzip at all")
    found = path.stat()
    shard = replace(
        source[0], path=path.name, url=str(path), size=found.st_size, version=str(found.st_mtime_ns)
    )
    _label(tmp_path / "out", (shard,)).seal()
    assert _only(tmp_path / "out", source=True).kind == "changed source"


def test_verify_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no run"):
        verify(str(tmp_path))
