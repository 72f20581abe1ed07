"""Rows that kill a replica or make no number: rejects, each alone, and never an endless try.

Without Ray a replica is no process of its own: there the board says that it has died before.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from labelmill.cli.loading import load
from labelmill.errors import EngineError
from labelmill.ledger.status import read_status, rejects_of
from labelmill.stages.board import Board
from labelmill.stages.predict import LIMIT, NOT_FINITE, TRIES
from tests.support import corpus, inline, process
from tests.support.hostile import LETHAL, NAN, hostile_classifier
from tests.support.models import tiny_classifier

pytestmark = pytest.mark.slow

ROWS, SPLIT_ROWS = 24, 12
EDGES: list[set[int]] = [
    {0},
    {5},
    {11},
    {0, 6, 11},
    {13, 5},
]  # each death loads the model once more
FIRST, SECOND = "rows.parquet-00000", "rows.parquet-00001"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    return hostile_classifier(tmp_path_factory.mktemp("model") / "hostile")


def job(directory: Path, model: str, spoilt: dict[int, str], **sections: Any) -> Any:
    """Two splits of texts of like length, some with a word that the model cannot bear."""
    (directory / "in").mkdir(exist_ok=True)
    texts = [f"the {'dog' if row % 3 else 'fox'} {spoilt.get(row, 'good')}" for row in range(ROWS)]
    table = pa.table({"id": range(ROWS), "text": texts})
    pq.write_table(table, directory / "in" / "rows.parquet")
    settings: dict[str, Any] = {
        "task": "text-classification",
        "model": {"path": model, "precision": "float32", "trust_remote_code": True},
        "source": {"path": str(directory / "in"), "split_rows": SPLIT_ROWS},
        "output": {"path": str(directory / "out"), "max_rejected": 1.0},
    }
    return inline.job_of(directory, settings | sections)


def suspicious(*splits: str) -> Board:
    """A board that has seen replicas die of these splits."""
    board = Board()
    for split in splits:
        for _ in range(TRIES):
            board.begin(split)
    return board


def labelled(output: Path) -> dict[int, str]:
    table = pyarrow.dataset.dataset(output, format="parquet").to_table(["id", "label"])
    return dict(zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True))


def reasons(output: Path, shard: str = "rows.parquet") -> dict[int, str]:
    found = (each for each in rejects_of(str(output)) if each.shard == shard)
    return {each.reject.position: each.reject.reason for each in found}


@pytest.mark.faults
@pytest.mark.parametrize("runner", ["ray", "local"])
def test_lethal_rows_of_a_real_job_are_rejects_and_cost_no_other_row(
    tmp_path: Path, hostile: str, runner: str
) -> None:
    lethal, odd = {corpus.row_id(0, 3), corpus.row_id(0, 20)}, corpus.row_id(3, 7)
    corpus.write_corpus(tmp_path / "in", spoilt=dict.fromkeys(lethal, LETHAL) | {odd: NAN})
    job_file = corpus.write_job(
        tmp_path / "job.yaml",
        tmp_path / "in",
        tmp_path / "out",
        hostile,
        model={"trust_remote_code": True},
        resources={"runner": runner},
    )

    ended = process.label(job_file)

    rejected = reasons(tmp_path / "out", "table.parquet")
    assert ended.code == 0
    assert (ended.told["complete"], ended.told["rows_read"]) == (True, corpus.ALL_ROWS)
    assert ended.told["rows_rejected"] == corpus.BAD + 3
    assert set(rejected) == lethal
    assert all("killed its replica twice" in reason for reason in rejected.values())
    assert NOT_FINITE in reasons(tmp_path / "out", "deep/packed.jsonl.zst").values()
    assert not {*lethal, odd} & set(labelled(tmp_path / "out"))
    strict = load(str(job_file), ("output.max_rejected=0.01",))
    assert inline.ended(strict)[0] == 4


@pytest.mark.parametrize(
    "lethal",
    [{3, 4}, *(pytest.param(rows, marks=pytest.mark.faults) for rows in EDGES)],
)
def test_lethal_rows_are_rejects_and_all_others_are_labelled(
    tmp_path: Path, hostile: str, lethal: set[int]
) -> None:
    spoilt = dict.fromkeys(lethal, LETHAL)
    inline.label(job(tmp_path, hostile, spoilt), board=suspicious(FIRST, SECOND))

    found, rejected = labelled(tmp_path / "out"), reasons(tmp_path / "out")
    (tmp_path / "harmless").mkdir()
    inline.label(job(tmp_path / "harmless", tiny_classifier(tmp_path / "model"), {}))
    expected = labelled(tmp_path / "harmless" / "out")
    assert set(rejected) == lethal
    assert all("killed its replica twice" in why and "signal 9" in why for why in rejected.values())
    assert found == {row: label for row, label in expected.items() if row not in lethal}


def test_row_without_finite_outputs_is_a_reject(tmp_path: Path, hostile: str) -> None:
    status = inline.label(job(tmp_path, hostile, {7: NAN, 20: NAN}))

    assert (status.complete, status.rows_labelled, status.rows_rejected) == (True, ROWS - 2, 2)
    assert reasons(tmp_path / "out") == {7: NOT_FINITE, 20: NOT_FINITE}
    assert set(labelled(tmp_path / "out")) == set(range(ROWS)) - {7, 20}


@pytest.mark.faults
def test_lethal_row_kept_as_null_has_no_label_and_the_reason(tmp_path: Path, hostile: str) -> None:
    kept = {"path": str(tmp_path / "in"), "split_rows": SPLIT_ROWS, "on_bad_row": "null"}
    inline.label(job(tmp_path, hostile, {5: LETHAL}, source=kept), board=suspicious(FIRST))

    table = pq.read_table(tmp_path / "out" / "rows.parquet-00000.parquet")
    assert table["label"].is_null().to_pylist() == [row == 5 for row in range(SPLIT_ROWS)]
    assert "killed its replica twice" in table["error"][5].as_py()


@pytest.mark.faults  # half a minute
def test_model_that_kills_on_every_row_rejects_none_of_them(tmp_path: Path) -> None:
    model = hostile_classifier(tmp_path / "deadly", always=True)

    with pytest.raises(EngineError, match=r"every row that is tried \(signal 9\)"):
        inline.label(job(tmp_path, model, {}), board=suspicious(FIRST))

    status = read_status(str(tmp_path / "out"))
    assert (status.splits_done, status.rows_rejected) == (0, 0)


def test_verdict_is_kept_for_whoever_begins_the_split_again() -> None:
    board = suspicious(FIRST)
    assert board.begin(FIRST).begun == TRIES
    board.convict(FIRST, {5: "why"})
    board.end(FIRST)

    again = board.begin(FIRST)

    assert (again.begun, again.lethal) == (0, {5: "why"})


@pytest.mark.parametrize("judged", [True, False])
def test_split_that_kills_all_the_same_ends_the_job(
    tmp_path: Path, hostile: str, judged: bool
) -> None:
    board = Board()
    for _ in range(LIMIT):
        board.begin(FIRST)
        if judged:
            board.convict(FIRST, {})
    for _ in range(TRIES):
        board.begin(FIRST)

    with pytest.raises(EngineError, match=r"rows\.parquet-00000.*microbatch_tokens"):
        inline.label(job(tmp_path, hostile, {}), board=board)
