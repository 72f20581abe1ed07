"""The demo as a whole, with a job that is only played and a model that is only noted."""

import io
import json
import re
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from labelmill import demo
from labelmill.config.job import LabelJob
from labelmill.config.loading import load_job
from labelmill.demo import corpus, showing
from labelmill.demo.training import Trained
from labelmill.errors import ConfigError
from tests.support.options import task_options

REPORT = Trained(
    lessons=900,
    held_out=100,
    chapters=12,
    accuracy=0.5,
    baseline=0.125,
    seconds=9.0,
    cpu_seconds=18.0,
    precision="float32",
)
REJECTS = [("jsonl/docstrings-6.jsonl", 99, "text is null", None)]


def test_run_writes_a_job_that_reads_the_corpus_and_shows_its_output(demo_place):
    place, console, written = demo_place
    assert demo.run(str(place), 200, _play, _rejects, console) == 0
    text = re.sub(r"\s+", " ", written.getvalue())
    assert "200 docstrings of the installed packages in 7 shards, 6 broken rows among them" in text
    assert "accuracy 50.0% on 100 docstrings" in text
    assert "always guessing the commonest chapter gives 12.5%" in text
    assert "1 rows rejected" in text
    assert "verify" in text


def test_run_again_keeps_corpus_and_model(demo_place):
    place, console, _ = demo_place
    demo.run(str(place), 200, _stop, _rejects, console)
    before = _files(place)
    assert demo.run(str(place), 200, _stop, _rejects, console) == 3
    assert _files(place) == before


def test_run_with_another_number_of_rows_is_refused(demo_place):
    place, console, _ = demo_place
    demo.run(str(place), 200, _stop, _rejects, console)
    with pytest.raises(ConfigError, match="holds a demo of 200 rows, not 300"):
        demo.run(str(place), 300, _stop, _rejects, console)


def test_run_with_too_few_rows_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least 200 rows"):
        demo.run(str(tmp_path / "d"), 50, _stop, _rejects, Console())
    assert not (tmp_path / "d").exists()


@pytest.fixture
def demo_place(tmp_path):
    place = tmp_path / "it's a demo"
    (place / "model").mkdir(parents=True)
    (place / "model" / "training.json").write_text(json.dumps(asdict(REPORT)), "utf-8")
    written = io.StringIO()
    return place, Console(file=written, width=120), written


def _play(path: str) -> int:
    """Label every good row of the Parquet shards "Data Types"."""
    job: LabelJob = load_job(path, options_class=task_options().__getitem__)
    [source] = job.source.path
    shards = [Path(source, name) for name in corpus.SHARDS if name.endswith(".parquet")]
    rows = [row for row in ds.dataset(shards).to_table().to_pylist() if row["text"] is not None]
    output = Path(job.output.path)
    output.mkdir()
    labelled = [row | {"label": "Data Types", "score": 0.5} for row in rows]
    pq.write_table(pa.Table.from_pylist(labelled), output / "x-00000.parquet")
    return 0


def _stop(path: str) -> int:
    del path
    return 3


def _rejects(output: str) -> list[showing.Rejected]:
    assert output.endswith("labelled")
    return REJECTS


def _files(place: Path) -> dict[Path, tuple[int, int]]:
    return {
        path: (path.stat().st_size, path.stat().st_ino)
        for path in place.rglob("*")
        if path.is_file()
    }
