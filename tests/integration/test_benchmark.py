"""The benchmark of labelling: the whole command once, and the parts that a good run never shows."""

import gzip
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmarks import checkpoint, corpus, measuring, results, venvs
from benchmarks.contenders import Contender, labelmill
from benchmarks.rounds import Round, Runner, Shards
from benchmarks.setting import Setting, environment

from labelmill.cli.loading import load
from labelmill.config.model import ModelSection

ROOT = Path(__file__).parents[2]


@pytest.mark.faults  # half a minute
def test_the_command_compares_contenders_on_a_corpus(tmp_path):
    told = _compared(tmp_path, "hand_one,hand_each")
    lines = told["corpora"]["some"]
    assert told["absent"] == {}
    assert told["load"]["some"]["tokens"] == 2 * 40  # a word is a token, and none is special
    assert {name: one["rows"] for name, one in lines.items()} == {"hand_one": 40, "hand_each": 40}
    assert all(one["agreement"] >= 0.9 for one in lines.values())
    assert all(0 < one["share_of_matrix_rate"] < 1 for one in lines.values())
    assert (tmp_path / "told" / "speed.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.faults  # a job to prepare and one to measure: a minute or two
def test_the_command_compares_with_labelmill(tmp_path):
    told = _compared(tmp_path, "labelmill,hand_one")
    lines = told["corpora"]["some"]
    assert told["absent"] == {}
    assert lines["labelmill"]["rows"] == 40
    assert lines["labelmill"]["agreement"] >= 0.9
    speeds = [lines[name]["rows_per_second"] for name in ("labelmill", "hand_one")]
    faster = lines["hand_one"]["times"]["labelmill"]["rows_per_second"]
    assert faster == pytest.approx(speeds[0] / speeds[1])


def test_corpora_are_read_from_parquet_and_tsv_beside_other_files(tmp_path):
    pq.write_table(pa.table({"text": ["one", None, "two"], "n": [1, 2, 3]}), tmp_path / "a.parquet")
    (tmp_path / "b.tsv.gz").write_bytes(gzip.compress(b'n\ttext\n4\tsay "three\n5\tfour\n'))
    (tmp_path / "LICENSE.txt").write_text("not a corpus")
    found = corpus.named([f"mine={tmp_path}:text"], 4)
    assert found["mine"].to_pylist() == ["one", "two", 'say "three', "four"]


def test_rows_are_repeated_where_a_corpus_is_too_small(tmp_path):
    pq.write_table(pa.table({"text": ["one", "two"]}), tmp_path / "a.parquet")
    found = corpus.named([f"mine={tmp_path}:text"], 5)
    assert found["mine"].to_pylist() == ["one", "two", "one", "two", "one"]


@pytest.mark.parametrize("asked", ["mine", "mine=place", "=place:text", "mine=:text"])
def test_a_corpus_that_is_not_named_as_expected_is_refused(asked):
    with pytest.raises(SystemExit, match="expected NAME=DIRECTORY:COLUMN"):
        corpus.named([asked], 1)


@pytest.mark.slow
def test_an_environment_that_cannot_be_installed_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(venvs, "_LISTS", tmp_path / "peers")
    monkeypatch.setattr(venvs, "_HOME", tmp_path / "made")
    (tmp_path / "peers" / "broken").mkdir(parents=True)
    (tmp_path / "peers" / "broken" / "requirements.txt").write_text("./nowhere\n")
    runner = Runner(_setting(tmp_path), tmp_path, limit=60)
    peer = Contender(name="peer", module="pipeline", precision="float32", venv="broken")
    runner.prepare(peer, tmp_path)
    assert "nowhere" in runner.absent["peer"]
    shards = Shards(corpus="some", place=str(tmp_path), tokens=1, flops=None)
    assert runner.round(peer, shards, 0) is None


@pytest.mark.slow
def test_a_command_that_does_not_end_is_killed_with_what_it_started():
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    with pytest.raises(measuring.CommandFailedError, match="no end after 1 s"):
        measuring.run([sys.executable, "-c", program], environment(), limit=1)


RATES = [{"float32": 100.0}]


def test_a_contender_on_fewer_rows_is_extended_by_its_steady_state():
    rounds = [_round("labelmill", rows=100, seconds=20), _round("slow", rows=10, seconds=11)]
    told = results.collect(rounds, {"some": {0: "low"}}, 100, {"some": 500}, RATES)
    lines = told["corpora"]["some"]
    assert lines["labelmill"]["rows_per_second"] == 100 / 20
    assert lines["slow"]["rows_per_second"] == pytest.approx(100 / (1 + 10 * 10))
    assert lines["slow"]["times"]["labelmill"]["rows_per_second"] == pytest.approx(5 / (100 / 101))
    assert lines["slow"]["steady_tokens_per_second"] == 5
    assert lines["slow"]["share_of_matrix_rate"] == pytest.approx(500 / 10 / 100)


def test_the_rows_of_a_contender_on_fewer_are_counted_by_tokens():
    """Its ten rows have twice as many tokens as the others."""
    slow = _round("slow", rows=10, seconds=11, tokens=100)
    rounds = [_round("labelmill", rows=100, seconds=20), slow]
    lines = results.collect(rounds, {"some": {0: "low"}}, 100, {"some": 500}, RATES)["corpora"]
    assert lines["some"]["slow"]["rows_per_second"] == pytest.approx(100 / (1 + 10 * 5))
    assert lines["some"]["slow"]["steady_rows_per_second"] == pytest.approx(2)
    assert lines["some"]["labelmill"]["steady_rows_per_second"] == pytest.approx(10)
    alone = results.collect([slow], {"some": {0: "low"}}, 100, {"some": 500}, RATES)["corpora"]
    assert alone["some"]["slow"]["rows_per_second"] == pytest.approx(100 / (1 + 10 * 5))


def _compared(tmp_path: Path, contenders: str) -> dict[str, Any]:
    """What the command tells of a tiny model on 40 rows of two words."""
    checkpoint.tiny(tmp_path / "model")
    rows = pa.table({"body": [f"{number} words" for number in range(50)]})
    pq.write_table(rows, tmp_path / "rows.parquet")
    out = tmp_path / "told" / "speed.json"
    argv = [sys.executable, "-m", "benchmarks.label", "--corpus", f"some={tmp_path}:body"]
    argv += ["--model", str(tmp_path / "model"), "--rows", "40", "--peer-rows", "20"]
    argv += ["--max-length", "16", "--repeats", "1", "--contenders", contenders, "--out", str(out)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "some: 40 rows" in done.stdout
    return json.loads(out.read_text())


def _round(name: str, *, rows: int, seconds: float, tokens: int | None = None) -> Round:
    """It starts in half of its time where it has all rows, and in a second where it has fewer."""
    return Round(
        name=name,
        shards=Shards(corpus="some", place="", tokens=tokens or 5 * rows, flops=500.0),
        rows=rows,
        seconds=seconds,
        steady_seconds=10,
        cpu_seconds=seconds,
        peak=1,
        peak_process=1,
        facts={},
        labels={0: "low"},
    )


def _setting(tmp_path: Path) -> Setting:
    return Setting(
        model=str(tmp_path),
        prepared="",
        shards="",
        output="",
        precision="float32",
        int8=False,
        max_length=8,
        cores=1,
    )


@pytest.mark.parametrize("trained", [False, True])
def test_a_trained_model_has_to_agree_as_jobs_ask_by_default(tmp_path: Path, trained: bool) -> None:
    setting = replace(
        _setting(tmp_path), shards="in", output=str(tmp_path / "out"), int8=True, trained=trained
    )
    labelmill.command(setting)
    wanted = load(f"{setting.output}.yaml", ()).model.min_agreement
    assert wanted == (ModelSection.model_fields["min_agreement"].default if trained else 0.0)
