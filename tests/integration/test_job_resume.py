"""A run that was stopped, damaged or met with another job: what opening it again does."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelmill import verification
from labelmill.cli.interrupt import Interrupt
from labelmill.cli.labelling import Labelling
from labelmill.errors import (
    CorruptRun,
    FingerprintChanged,
    InputError,
    ShardRefused,
    UnfinishedRun,
)
from labelmill.ledger.status import read_status, rejects_of
from labelmill.pipeline import Cluster
from labelmill.reports.progress import Progress
from labelmill.stages.board import Board
from tests.support import inline
from tests.support.models import tiny_classifier


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_classifier(str(tmp_path_factory.mktemp("model") / "bert"))


def job(tmp_path: Path, checkpoint: str, out: str = "out", **sections: Mapping[str, Any]) -> Any:
    settings: dict[str, Any] = {
        "task": "text-classification",
        "model": {"path": checkpoint, "precision": "float32"},
        "source": {"path": str(tmp_path / "in"), "split_rows": 10},
        "output": {"path": str(tmp_path / out), "max_rejected": 1.0},
    }
    for name, values in sections.items():
        settings[name] = settings.get(name, {}) | values
    return inline.job_of(tmp_path, settings)


def shards(tmp_path: Path) -> None:
    """One shard of each kind, 25 rows each."""
    (tmp_path / "in").mkdir()
    lines = b"".join(
        json.dumps({"id": i, "text": f"cat {i} the mat"}).encode() + b"\n" for i in range(25)
    )
    (tmp_path / "in" / "plain.jsonl").write_bytes(lines)
    (tmp_path / "in" / "zipped.jsonl.gz").write_bytes(gzip.compress(lines))
    table = pa.table({"id": list(range(25)), "text": [f"sat {i} the mat" for i in range(25)]})
    pq.write_table(table, tmp_path / "in" / "table.parquet", row_group_size=7)


def parts(directory: Path) -> dict[str, bytes]:
    found = sorted(directory.glob("*.parquet"))
    return {path.name: path.read_bytes() for path in found}


@pytest.mark.parametrize("first", range(1, 9))
def test_resume_after_any_number_of_splits_gives_the_bytes_of_an_uninterrupted_run(
    tmp_path: Path, model: str, first: int
) -> None:
    shards(tmp_path)
    whole = inline.label(job(tmp_path, model, "whole"))
    half = inline.label(job(tmp_path, model), splits=first)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.parquet")}

    status = inline.label(job(tmp_path, model))

    assert (whole.splits, half.complete, half.splits_done) == (9, False, first)
    assert (status.complete, status.rows_labelled, status.attempts) == (True, 75, 2)
    assert parts(tmp_path / "out") == parts(tmp_path / "whole")
    assert len(before) == first
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())
    assert verification.verify(str(tmp_path / "out"), source=True).ok


def test_finished_run_started_again_does_nothing(tmp_path: Path, model: str) -> None:
    shards(tmp_path)
    inline.label(job(tmp_path, model))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.parquet")}

    again = inline.label(job(tmp_path, model))

    assert again.complete
    assert again.splits_done == 9
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())


def test_new_shard_is_more_pending_work(tmp_path: Path, model: str) -> None:
    shards(tmp_path)
    inline.label(job(tmp_path, model))
    (tmp_path / "in" / "new.jsonl").write_bytes(b'{"id": 99, "text": "new"}\n')

    status = inline.label(job(tmp_path, model))

    assert (status.complete, status.shards, status.rows_read) == (True, 4, 76)
    assert pq.read_table(tmp_path / "out" / "new.jsonl-00000.parquet")["id"].to_pylist() == [99]


def test_shard_of_the_run_under_another_path_is_refused(tmp_path: Path, model: str) -> None:
    shards(tmp_path)
    (tmp_path / "in" / "more").mkdir()
    (tmp_path / "in" / "more" / "new.jsonl").write_bytes(b'{"id": 99, "text": "new"}\n')
    inline.label(job(tmp_path, model, source={"path": str(tmp_path / "in" / "more")}))

    with pytest.raises(InputError, match=r"'new\.jsonl' of the run, and 'more/new\.jsonl'.* twice"):
        inline.label(job(tmp_path, model))


def test_new_shard_that_the_schema_cannot_hold_is_refused(tmp_path: Path, model: str) -> None:
    shards(tmp_path)
    inline.label(job(tmp_path, model))
    pq.write_table(pa.table({"text": ["a"], "more": [1]}), tmp_path / "in" / "z.parquet")

    with pytest.raises(InputError, match=r"column 'more'.*z\.parquet.*new output directory"):
        inline.label(job(tmp_path, model))


def test_row_of_a_new_json_shard_that_the_schema_cannot_hold_is_a_reject(
    tmp_path: Path, model: str
) -> None:
    shards(tmp_path)
    inline.label(job(tmp_path, model))
    lines = b'{"id": 1, "text": "fits"}\n{"id": "x", "text": "does not"}\n'
    (tmp_path / "in" / "z.jsonl").write_bytes(lines)

    status = inline.label(job(tmp_path, model))

    assert status.rows_rejected == 1
    assert status.complete
    (placed,) = rejects_of(str(tmp_path / "out"))
    assert placed.reject.position == 26
    assert "'id'" in placed.reject.reason


def test_changed_shard_is_refused_by_name(tmp_path: Path, model: str) -> None:
    shards(tmp_path)
    inline.label(job(tmp_path, model), splits=2)
    with (tmp_path / "in" / "plain.jsonl").open("ab") as file:
        file.write(b'{"id": 1, "text": "more"}\n')

    with pytest.raises(InputError, match=r"plain\.jsonl.*changed"):
        inline.label(job(tmp_path, model))


def test_vanished_shard_is_refused_where_it_is_not_done(tmp_path: Path, model: str) -> None:
    shards(tmp_path)
    inline.label(job(tmp_path, model), splits=1)
    (tmp_path / "in" / "zipped.jsonl.gz").unlink()

    with pytest.raises(InputError, match=r"zipped\.jsonl\.gz"):
        inline.label(job(tmp_path, model))


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        ({"options": {"max_length": 4}}, "options.max_length"),
        ({"source": {"split_rows": 11}}, "cut.split_rows"),
        ({"source": {"columns": {"text": "id2"}}}, "source.columns.text"),
        ({"output": {"prefix": "p_"}}, "output.prefix"),
        ({"model": {"precision": "bfloat16"}}, "model.precision"),
        ({"source": {"keep": "none"}}, "source.keep"),
    ],
)
def test_job_with_other_results_is_refused_naming_what_differs(
    tmp_path: Path, model: str, sections: dict[str, dict[str, Any]], named: str
) -> None:
    shards(tmp_path)
    inline.label(job(tmp_path, model), splits=1)

    with pytest.raises(FingerprintChanged, match=named.replace(".", r"\.")):
        inline.label(job(tmp_path, model, **sections))


def test_other_weights_are_refused(tmp_path: Path, model: str) -> None:
    shards(tmp_path)
    inline.label(job(tmp_path, model), splits=1)
    other = tiny_classifier(str(tmp_path / "other"), seed=1)

    with pytest.raises(FingerprintChanged, match=r"model\.digest"):
        inline.label(job(tmp_path, other))


def test_other_task_is_refused_whatever_it_reads(tmp_path: Path, model: str) -> None:
    shards(tmp_path)
    inline.label(job(tmp_path, model), splits=1)

    other = job(tmp_path, model).model_copy(update={"task": "question-answering"})
    with pytest.raises(FingerprintChanged, match=r"task: the run has 'text-classification'"):
        inline.plan_of(other)


def test_resources_and_limits_may_change_between_attempts(tmp_path: Path, model: str) -> None:
    shards(tmp_path)
    inline.label(job(tmp_path, model), splits=1)
    changed = {"resources": {"microbatch_tokens": 64}, "output": {"max_rejected": 0.5}}

    assert inline.label(job(tmp_path, model, **changed)).complete


def test_lost_part_is_labelled_again_with_the_same_bytes(tmp_path: Path, model: str) -> None:
    shards(tmp_path)
    inline.label(job(tmp_path, model))
    before = parts(tmp_path / "out")
    (tmp_path / "out" / "plain.jsonl-00001.parquet").unlink()

    status = inline.label(job(tmp_path, model))

    assert status.complete
    assert status.rows_read == 75
    assert parts(tmp_path / "out") == before
    assert verification.verify(str(tmp_path / "out"), source=True).ok


def test_slice_that_lost_a_part_of_its_own_is_not_done(tmp_path: Path, model: str) -> None:
    shards(tmp_path)
    sliced = job(tmp_path, model)
    inline.label(sliced, splits=3)  # the first of three shards
    runner: Any = SimpleNamespace(
        name="local", cluster=Cluster(nodes=1, cores=1, cpus=1.0, gpus=0.0)
    )
    labelling = Labelling(inline.plan_of(sliced), runner, (0, 3), Progress())
    (tmp_path / "out" / "plain.jsonl-00001.parquet").unlink()

    with pytest.raises(UnfinishedRun, match="run the same command again"):
        labelling.work(Interrupt())


def test_truncated_part_is_found_when_the_run_is_opened(tmp_path: Path, model: str) -> None:
    shards(tmp_path)
    inline.label(job(tmp_path, model), splits=3)
    part = tmp_path / "out" / "plain.jsonl-00001.parquet"
    part.write_bytes(part.read_bytes()[:-5])

    with pytest.raises(CorruptRun, match=r"plain\.jsonl-00001\.parquet"):
        inline.label(job(tmp_path, model))


def test_damaged_shard_is_recorded_and_labelled_anew_when_it_is_replaced(
    tmp_path: Path, model: str
) -> None:
    shards(tmp_path)
    good = (tmp_path / "in" / "zipped.jsonl.gz").read_bytes()
    (tmp_path / "in" / "zipped.jsonl.gz").write_bytes(good[: len(good) // 2])
    damaged = inline.label(job(tmp_path, model))
    (tmp_path / "in" / "zipped.jsonl.gz").write_bytes(good)

    status = inline.label(job(tmp_path, model))

    assert (damaged.complete, damaged.shards_damaged) == (True, 1)
    assert 50 <= damaged.rows_labelled < 75
    assert (status.complete, status.shards_damaged, status.rows_labelled) == (True, 0, 75)
    # The run has one column more, for what a sample of a damaged shard may have missed.
    inline.label(job(tmp_path, model, "whole"))
    for name in parts(tmp_path / "whole"):
        labelled = pq.read_table(tmp_path / "out" / name)
        assert labelled["extra_json"].null_count == labelled.num_rows
        assert labelled.drop(["extra_json"]).equals(pq.read_table(tmp_path / "whole" / name))


def test_shard_that_comes_later_and_is_damaged_is_recorded_too(tmp_path: Path, model: str) -> None:
    shards(tmp_path)
    inline.label(job(tmp_path, model), splits=1)
    (tmp_path / "in" / "late.parquet").write_bytes(b"PAR1 is not all PAR1")

    status = inline.label(job(tmp_path, model))

    assert (status.complete, status.shards_damaged, status.rows_labelled) == (True, 1, 75)


@pytest.mark.parametrize("columns", [{"lang": ["en"]}, {"id": ["one"]}])
def test_shard_that_replaces_a_damaged_one_must_fit_the_schema(
    tmp_path: Path, model: str, columns: dict[str, list[str]]
) -> None:
    shards(tmp_path)
    late = tmp_path / "in" / "late.parquet"
    late.write_bytes(b"PAR1 is not all PAR1")
    inline.label(job(tmp_path, model))
    pq.write_table(pa.table({"text": ["the mat"]} | columns), late)

    with pytest.raises(InputError, match=f"column {next(iter(columns))!r}"):
        inline.plan_of(job(tmp_path, model))


def test_on_bad_shard_fail_stops_naming_the_shard(tmp_path: Path, model: str) -> None:
    shards(tmp_path)
    (tmp_path / "in" / "table.parquet").write_bytes(b"PAR1 is not all PAR1")

    with pytest.raises(ShardRefused, match=r"table\.parquet.*on_bad_shard"):
        inline.label(job(tmp_path, model, source={"on_bad_shard": "fail"}))


def test_stop_leaves_a_run_that_goes_on(tmp_path: Path, model: str) -> None:
    shards(tmp_path)
    board = Board()
    board.stop()
    stopped = inline.label(job(tmp_path, model), splits=99, board=board)

    status = inline.label(job(tmp_path, model))

    assert (stopped.splits_done, stopped.complete) == (0, False)
    assert status.complete
    assert read_status(str(tmp_path / "out")).rows_labelled == 75
