"""Models that cannot be loaded, or have too little memory: a clear end, or smaller microbatches."""

import json
import resource
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelmill.cli.loading import load
from labelmill.ledger.state import State
from labelmill.ledger.status import read_status
from labelmill.stages.board import Board, Past
from labelmill.storage import open_store
from tests.support import corpus, inline, mortal, process
from tests.support.hostile import hostile_classifier
from tests.support.models import WORDS, tiny_classifier

pytestmark = pytest.mark.slow

_RUNNERS = [pytest.param("ray", marks=pytest.mark.faults), "local"]
_ROWS = 4000  # long texts, which all fit into one microbatch of the budget
_BUDGET = 1_000_000  # tokens
_ROOM = 100 << 20  # bytes of memory that may be had while rows are predicted


@pytest.mark.parametrize("runner", _RUNNERS)
def test_model_with_weights_of_another_shape_is_refused_in_one_line(
    tmp_path: Path, source: Path, runner: str
) -> None:
    model = tiny_classifier(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text("utf-8"))
    config["intermediate_size"] += 1
    (tmp_path / "model" / "config.json").write_text(json.dumps(config), encoding="utf-8")

    resources = {"runner": runner}
    ended = process.label(
        corpus.write_job(tmp_path / "j.yaml", source, tmp_path / "out", model, resources=resources)
    )

    *before, last = ended.err.splitlines()
    assert (ended.code, ended.out) == (2, "")
    assert last.startswith(f"labelmill: model {model!r} cannot be loaded as ")
    assert all(line.startswith(("starting ", "0 rows ")) for line in before)
    assert read_status(str(tmp_path / "out")).splits_done == 0


@pytest.mark.faults
@pytest.mark.parametrize("runner", ["ray", "local"])
def test_model_that_kills_its_process_while_it_is_loaded_ends_the_job(
    tmp_path: Path, source: Path, runner: str
) -> None:
    model = hostile_classifier(tmp_path / "model", loads=False)
    job = corpus.write_job(
        tmp_path / "j.yaml",
        source,
        tmp_path / "out",
        model,
        model={"trust_remote_code": True},
        resources={"runner": runner},
    )

    ended = process.label(job)

    assert (ended.code, ended.out) == (1, "")
    *_, last = ended.err.splitlines()
    assert last.startswith("labelmill: a replica's process died 3 times while it loaded the model")
    assert "Traceback" not in ended.err


def test_microbatch_beyond_memory_is_halved_until_every_row_is_labelled(tmp_path: Path) -> None:
    words = WORDS.split()
    texts = [
        " ".join(words[(row // len(words) ** (k % 3) + k) % len(words)] for k in range(60))
        for row in range(_ROWS)  # no two alike
    ]
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"text": texts}), tmp_path / "in" / "long.parquet")
    job = corpus.write_job(
        tmp_path / "job.yaml",
        tmp_path / "in",
        tmp_path / "out",
        tiny_classifier(tmp_path / "model"),
        source={"split_rows": _ROWS},
        resources={"microbatch_tokens": _BUDGET},
    )

    assert mortal.outcome(_label_in_little_memory, job) == 0

    status = read_status(str(tmp_path / "out"))
    (entry,) = State(open_store(str(tmp_path / "out"))).entries()
    assert (status.complete, status.rows_labelled) == (True, _ROWS)
    assert entry["replica"]["budget"] < _BUDGET


class _Tight(Board):
    """Lets the process have little more memory than it has, from the first split on."""

    def begin(self, split: str) -> Past:
        """See Board."""
        limit = psutil.Process().memory_info().vms + _ROOM
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        return super().begin(split)

    def end(self, split: str) -> None:
        """See Board."""
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        super().end(split)


def _label_in_little_memory(job: Path) -> None:
    inline.label(load(str(job), ()), board=_Tight())
