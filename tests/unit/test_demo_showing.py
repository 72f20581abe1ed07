"""What the demo prints, and the commands that it proposes."""

import io
import shlex
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from labelmill.demo import showing

ROWS = [
    {"module": "m.a", "qualname": "f", "text": "Sure.\nMore.", "label": "Data Types", "score": 0.9},
    {"module": "m.b", "qualname": "", "text": "Unsure.", "label": "Data Types", "score": 0.5},
    {"module": "n", "qualname": "g", "text": "[bold] is text", "label": "Numeric", "score": 0.25},
]
REJECTS = [
    ("b.jsonl", 7, "not a JSON object", "broken [/bold] line"),
    ("a.parquet", 1204, "text is null", None),
]


def test_labelled_shows_rows_scores_examples_and_rejects(tmp_path):
    _part(tmp_path / "out")
    console, written = _console()
    showing.labelled(console, tmp_path / "out", REJECTS)
    text = written.getvalue()
    assert "3 rows labelled" in text
    assert "0.70" in text
    assert "m.a.f: Sure." in text
    assert "n.g: [bold] is text" in text
    assert "2 rows rejected" in text
    assert "1,204" in text
    assert "broken [/bold] line" in text


def test_read_leaves_the_inside_of_a_run_alone(tmp_path):
    _part(tmp_path / "out")
    _part(tmp_path / "out" / "_labelmill" / "x")
    assert len(showing.read(tmp_path / "out")) == 3


def test_commands_are_those_of_labelmill_and_a_query_that_works(tmp_path):
    place = tmp_path / "a place's name"
    _part(place / "labelled")
    *ours, query = showing.commands(place)
    assert [shlex.split(line)[1] for line in ours] == [
        "status",
        "verify",
        "label",
        "evaluate",
    ]
    assert {Path(shlex.split(line)[0]).name for line in ours} == {"labelmill"}
    done = subprocess.run(shlex.split(query), capture_output=True, text=True, check=True)
    assert "Data Types" in done.stdout


def _part(directory: Path) -> None:
    directory.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(ROWS), directory / "x-00000.parquet")


def _console() -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    return Console(file=written, width=160), written
