"""`labelmill evaluate` on runs that tiny models labelled: streams, exit codes, JSON, page."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from sklearn import metrics

from labelmill.cli import group
from labelmill.errors import ConfigError
from tests.support.inline import job_of, label
from tests.support.models import tiny_classifier
from tests.support.tagger_models import tiny_tagger

ROOT = Path(__file__).parents[2]
ROWS = 60
WORDS = ["the", "cat", "sat", "on", "a", "mat", "under", "moon"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_classifier(tmp_path_factory.mktemp("model") / "bert")


def texts() -> list[str | None]:
    drawn = np.random.default_rng(0)
    written: list[str | None] = [" ".join(drawn.choice(WORDS, 5)) for _ in range(ROWS)]
    written[7] = None
    return written


def source(directory: Path, *, jsonl: bool = False) -> Path:
    """Texts, a gold label for each but the fourth, and a language."""
    gold: list[str | None] = [f"label {'abc'[n % 3]}" for n in range(ROWS)]
    gold[3] = None
    table = pa.table(
        {"text": texts(), "gold": gold, "lang": [["en", "<de>"][n % 2] for n in range(ROWS)]}
    )
    (directory / "in").mkdir(parents=True)
    if jsonl:
        lines = "".join(json.dumps(row) + "\n" for row in table.to_pylist())
        (directory / "in" / "a.jsonl").write_text(lines)
    else:
        pq.write_table(table, directory / "in" / "a.parquet")
    return directory / "in"


def labelled(directory: Path, model: str, **sections: dict[str, Any]) -> Path:
    jsonl = sections.get("output", {}).get("format") == "jsonl"
    settings = {
        "task": "text-classification",
        "model": {"path": model, "precision": "float32"},
        "source": {"path": str(source(directory, jsonl=jsonl)), "split_rows": 16},
        "options": {"scores": "all"},
        "output": {"path": str(directory / "out"), "max_rejected": 1.0},
    }
    for name, values in sections.items():
        settings[name] = {**settings[name], **values}
    assert label(job_of(directory, settings)).complete
    return directory / "out"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(group, ["evaluate", *map(str, arguments)])


def told(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory, model: str) -> Path:
    return labelled(tmp_path_factory.mktemp("run"), model)


def test_metrics_are_those_of_the_output_as_it_lies_there(output: Path) -> None:
    found = told(output, "--gold", "gold", "--by", "lang")

    frame = pq.read_table(output).to_pandas().dropna(subset=["gold"])
    assert found["rows"]["evaluated"] == len(frame) == ROWS - 2
    assert found["rows"]["read"] == ROWS
    assert (found["rows"]["rejected"], found["rows"]["without_gold"]) == (1, 1)
    accuracy = metrics.accuracy_score(frame["gold"], frame["label"])
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(accuracy)
    german = frame[frame["lang"] == "<de>"]
    (slice_,) = (each for each in found["slices"]["lang"] if each["value"] == "<de>")
    assert slice_["rows"] == len(german)
    expected = metrics.f1_score(german["gold"], german["label"], average="macro", zero_division=0)
    assert slice_["metrics"]["f1_macro"] == pytest.approx(expected)
    low, high = (found["metrics"]["accuracy"][end] for end in ("low", "high"))
    assert low < accuracy < high
    assert set(found["tables"]) >= {"classes", "confusion", "reliability", "thresholds"}


def test_table_for_people_has_the_headline_first(output: Path) -> None:
    result = run(output, "--gold", "gold", "--bootstrap", 50)

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    (first,) = (n for n, line in enumerate(lines) if line.strip().startswith("metric"))
    assert lines[first + 2].split()[0] == "accuracy"
    assert "rows without gold" in result.stdout


def test_page_is_whole_in_itself(output: Path, tmp_path: Path) -> None:
    page = tmp_path / "new" / "page.html"
    for _ in range(2):  # a page that is there is replaced
        result = run(output, "--gold", "gold", "--by", "lang", "--page", page, "--bootstrap", 50)
        assert result.exit_code == 0, result.output

    html = page.read_text("utf-8")
    assert re.findall(r"""(?:src|href)=["'](?!#|data:)""", html) == []
    assert html.count("<svg") == 2
    assert "&lt;de&gt;" in html
    assert "<de>" not in html
    assert f"{told(output, '--gold', 'gold')['metrics']['accuracy']['value']:.4f}" in html


def test_page_inside_the_run_is_refused_for_it_would_hide_the_data(
    output: Path, tmp_path: Path
) -> None:
    page = output / "_labelmill" / "evaluation.html"

    result = run(output, "--gold", "gold", "--page", page)

    assert isinstance(result.exception, ConfigError)
    assert "write it elsewhere" in str(result.exception)
    assert not page.exists()
    read = datasets.load_dataset(str(output), split="train", cache_dir=str(tmp_path))
    assert len(read) == ROWS - 1


@pytest.mark.parametrize("on_bad_row", ["reject", "null"])
def test_jsonl_lines_that_are_carried_whole_are_read(
    tmp_path: Path, model: str, output: Path, on_bad_row: str
) -> None:
    lines = labelled(tmp_path, model, output={"format": "jsonl"}, source={"on_bad_row": on_bad_row})

    arguments = ("--gold", "gold", "--bootstrap", 0)
    found, expected = told(lines, *arguments), told(output, *arguments)
    assert found["rows"] == expected["rows"]
    for name, each in expected["metrics"].items():
        assert found["metrics"][name]["value"] == pytest.approx(each["value"], abs=1e-5)


def test_tags_of_words_are_gold_for_entities(tmp_path: Path) -> None:
    tagger = tiny_tagger(tmp_path / "tagger")
    words = [WORDS[n % 3 : n % 3 + 4] for n in range(20)]
    tags = [["B-PER", "I-PER", "O", "B-LOC"]] * 20
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"words": words, "tags": tags}), tmp_path / "in" / "a.parquet")
    settings = {
        "task": "token-classification",
        "model": {"path": tagger},
        "source": {"path": str(tmp_path / "in")},
        "options": {},
        "output": {"path": str(tmp_path / "out")},
    }
    assert label(job_of(tmp_path, settings)).complete

    found = told(tmp_path / "out", "--gold", "tags")

    assert found["headline"] == ["entity_precision", "entity_recall", "entity_f1"]
    support = {row["label"]: row["support"] for row in found["tables"]["classes"]}
    assert support == {"LOC": 20, "PER": 20}


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(ROOT / "jobs" / "evaluate.py"), *arguments],
        capture_output=True,
        text=True,
        env=os.environ,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_job_entry_point_and_exit_codes(output: Path) -> None:
    done = command(str(output), "--gold", "gold", "--json", "--bootstrap", "0")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["complete"]

    wrong = command(str(output), "--gold", "golds")
    assert wrong.returncode == 2
    assert "did you mean 'gold'" in wrong.stderr
    assert wrong.stdout == ""
