"""The demo as a whole, with a job that is only played and a model that is only noted."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from labelmill import demo
from labelmill.config.job import LabelJob
from labelmill.config.loading import load_as, load_job
from labelmill.config.train_job import TrainJob
from labelmill.demo import Commands, corpus, showing
from labelmill.errors import ConfigError
from tests.support.options import task_options

REJECTS = [("jsonl/docstrings-6.jsonl", 99, "text is null", None)]


def test_run_trains_labels_and_evaluates_in_this_order(demo_place):
    place, console, written = demo_place
    called: list[str] = []
    assert demo.run(str(place), 200, _commands(called), _rejects, console) == 0
    assert called == ["train.yaml", "job.yaml", "labelled"]
    text = re.sub(r"\s+", " ", written.getvalue())
    assert "200 docstrings of the installed packages in 7 shards, 6 broken rows among them" in text
    assert "1 rows rejected" in text
    assert "verify" in text
    assert "--gold chapter" in text


def test_run_whose_training_stops_does_not_label(demo_place):
    place, console, _ = demo_place
    called: list[str] = []
    commands = replace(_commands(called), train=_stop)
    assert demo.run(str(place), 200, commands, _rejects, console) == 3
    assert called == []


def test_training_learns_lessons_and_measures_by_modules_that_are_not_among_them(prepared):
    place, _ = prepared
    job = load_as(TrainJob, str(place / "train.yaml"), options_class=task_options().__getitem__)
    [learned] = job.data.train
    [kept] = job.data.validation
    tables = [pq.read_table(path) for path in (learned, kept)]
    modules = [set(table["module"].to_pylist()) for table in tables]
    assert modules[0].isdisjoint(modules[1])
    assert {"text", "chapter"} <= set(tables[0].column_names)
    known = pq.read_table(place / "corpus" / corpus.KNOWN)
    assert known["text"].to_pylist() == tables[1]["text"].to_pylist()
    assert known["chapter"].null_count == 0


def test_run_again_keeps_corpus_and_lessons(prepared):
    place, console = prepared
    commands = replace(_commands([]), label=_stop)
    before = _files(place)
    assert demo.run(str(place), 200, commands, _rejects, console) == 3
    after = _files(place)
    jobs = {place / "train.yaml", place / "job.yaml"}
    assert {path: seen for path, seen in after.items() if path not in jobs} == {
        path: seen for path, seen in before.items() if path not in jobs
    }


def test_run_with_another_number_of_rows_is_refused(prepared):
    place, console = prepared
    commands = replace(_commands([]), label=_stop)
    with pytest.raises(ConfigError, match="holds a demo of 200 rows, not 300"):
        demo.run(str(place), 300, commands, _rejects, console)


def test_run_with_too_few_rows_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least 200 rows"):
        demo.run(str(tmp_path / "d"), 50, _commands([]), _rejects, Console())
    assert not (tmp_path / "d").exists()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The place of a demo that has corpus and lessons, and whose labelling stopped."""
    place, console = tmp_path_factory.mktemp("prepared") / "demo", Console(file=io.StringIO())
    demo.run(str(place), 200, replace(_commands([]), label=_stop), _rejects, console)
    return place, console


@pytest.fixture
def demo_place(tmp_path):
    place = tmp_path / "it's a demo[/x] [red]"
    place.mkdir(parents=True)
    written = io.StringIO()
    return place, Console(file=written, width=120), written


def _commands(called: list[str]) -> Commands:
    """Commands that note how they were called; `label` is played."""

    def noted(path: str) -> int:
        called.append(Path(path).name)
        return 0

    def label(path: str) -> int:
        noted(path)
        return _play(path)

    return Commands(train=noted, label=label, evaluate=noted)


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


@pytest.mark.parametrize("broken", ["a file", "an empty note"])
def test_directory_that_cannot_be_used_is_refused(tmp_path, broken):
    place = tmp_path / "demo"
    if broken == "a file":
        place.write_text("")
    else:
        place.mkdir()
        (place / "demo.json").write_text("")
    with pytest.raises(ConfigError, match=r"--dir: '.*demo' cannot be used: .*another directory"):
        demo._claim(place, 1500)
