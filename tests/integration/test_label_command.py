"""The command as a user runs it: a child process with real Ray; streams, exit codes, resuming."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click import ClickException

from labelmill.cli import group
from labelmill.errors import LabelmillError
from tests.support.models import tiny_classifier
from tests.support.noisy import NOISES, noisy_classifier

KEYS = {
    "rows_read", "rows_labelled", "rows_rejected", "rows_repeated", "shards", "shards_damaged",
    "splits", "splits_done", "tokens", "padding_fraction", "seconds", "rows_per_second",
    "tokens_per_second", "attempts", "output", "complete",
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_classifier(str(tmp_path_factory.mktemp("model") / "bert"))


def job_file(
    tmp_path: Path, model: str, task: str = "text-classification", **sections: dict[str, Any]
) -> str:
    settings: dict[str, Any] = {
        "task": task,
        "model": {"path": model},
        "source": {"path": str(tmp_path / "in"), "split_rows": 20},
        "output": {"path": str(tmp_path / "out")},
    }
    for name, values in sections.items():
        settings[name] = settings.get(name, {}) | values
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(settings))
    return str(path)


def shards(tmp_path: Path, bad: int = 0) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        rows = range(number * 50, number * 50 + 50)
        texts = [f"the cat sat on mat {i}" if i % 50 >= bad else None for i in rows]
        table = pa.table({"id": list(rows), "text": pa.array(texts, pa.string())})
        pq.write_table(table, tmp_path / "in" / f"{number}.parquet")


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    hermetic = {
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    }
    return subprocess.run(
        [sys.executable, "-m", "labelmill", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | hermetic,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["ray", "local"])
def test_label_ends_whole_and_again_finds_nothing_to_do(
    tmp_path: Path, model: str, runner: str
) -> None:
    shards(tmp_path)
    # More tokenizers than splits, as on a machine of many cores.
    job = job_file(tmp_path, model, resources={"runner": runner, "tokenizers": 12})

    first = command("label", job, "--json")
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*.parquet")}
    again = command("label", job)

    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    assert set(told) == KEYS
    assert (told["rows_labelled"], told["splits"], told["complete"]) == (150, 9, True)
    assert "3 of 3 shards pending" in first.stderr
    assert f"runner {runner}" in first.stderr
    assert "warning" not in first.stderr.lower()
    assert "Traceback" not in first.stderr
    assert again.returncode == 0, again.stderr
    assert "0 of 3 shards pending" in again.stderr
    assert "whole" in again.stdout
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*.parquet")} == stamps
    table = pq.read_table(tmp_path / "out" / "1.parquet-00002.parquet")
    assert table["id"].to_pylist() == list(range(90, 100))

    status = command("status", str(tmp_path / "out"), "--json")
    verify = command("verify", str(tmp_path / "out"), "--source", "--json")
    assert (status.returncode, verify.returncode) == (0, 0)
    assert json.loads(status.stdout) == told | {"attempts": 2}
    assert json.loads(verify.stdout)["ok"] is True


@pytest.mark.slow
def test_slices_do_their_own_shards_and_the_last_one_seals(tmp_path: Path, model: str) -> None:
    shards(tmp_path)
    job = job_file(tmp_path, model)

    first = command("label", job, "--slice", "1/2", "--json")
    done = sorted({p.name.split("-")[0] for p in (tmp_path / "out").glob("*.parquet")})
    second = command("label", job, "--slice", "2/2", "--json")

    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["complete"] is False
    assert done == ["0.parquet", "2.parquet"]
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout)["complete"] is True
    assert json.loads(second.stdout)["rows_labelled"] == 150


@pytest.mark.slow
def test_too_many_rejects_end_with_4(tmp_path: Path, model: str) -> None:
    shards(tmp_path, bad=10)
    job = job_file(tmp_path, model, output={"max_rejected": 0.1}, resources={"replicas": 1})

    ended = command("label", job, "--json")

    assert ended.returncode == 4, ended.stderr
    # It ends as soon as the bound can no longer be met: two shards are enough for that.
    rejected = json.loads(ended.stdout)["rows_rejected"]
    (told,) = re.findall(r"labelmill: (\d+) of \d+ rows \(2\d\.\d\d%\) were rejected", ended.stderr)
    assert rejected in (20, 30)
    assert int(told) == rejected


def test_dry_run_tells_all_and_leaves_nothing(tmp_path: Path, model: str) -> None:
    shards(tmp_path)
    job = job_file(tmp_path, model)

    ended = command("label", job, "--dry-run", "--json")

    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert (told["shards"], told["shards_pending"], told["rows"]) == (3, 3, 150)
    assert (told["split_rows"], told["splits"], told["resumes"]) == (20, 8, False)
    assert told["schema"] == {"id": "int64", "text": "string", "label": "string", "score": "float"}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "resources.replica=4"], "resources.replica: no such setting; did you mean"),
        (
            ["--set", "model.precision=int8", "--set", "model.engine=pytorch"],
            "'int8' is for the engine 'openvino'",
        ),
        (["--set", "source.path=/nowhere/at/all"], "/nowhere/at/all"),
        (["--set", "model.path=./no/such/model"], "model.path"),
        (["--set", "source.columns.text=txt"], "did you mean 'text'"),
        (["--slice", "3/2"], "3/2"),
    ],
)
def test_mistakes_are_told_in_one_clear_message(
    tmp_path: Path,
    model: str,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shards(tmp_path)
    called = ["label", job_file(tmp_path, model), "--dry-run", *arguments]

    with pytest.raises((ClickException, LabelmillError), match=re.escape(message)) as stopped:
        group(called, standalone_mode=False)

    assert (stopped.value.exit_code, capsys.readouterr().out) == (2, "")


@pytest.mark.parametrize("mistake", ["--slice=3/2", "--set=source.columns.text=txt"])
def test_mistake_ends_the_process_with_2(tmp_path: Path, model: str, mistake: str) -> None:
    shards(tmp_path)

    ended = command("label", job_file(tmp_path, model), "--dry-run", mistake)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert mistake.rpartition("=")[2] in ended.stderr
    assert "Traceback" not in ended.stderr


def test_status_and_verify_of_a_directory_without_a_run_say_so(tmp_path: Path) -> None:
    for name in ("status", "verify"):
        ended = command(name, str(tmp_path))

        assert ended.returncode == 2
        assert "no run" in ended.stderr


def test_what_was_imported_is_not_looked_through_for_garbage_at_the_end() -> None:
    code = (
        "import atexit, gc, sys\n"
        "from labelmill.cli import main\n"
        "sys.argv = ['labelmill', 'status', '/no/such/run']\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 10_000))\n"
        "main()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )

    assert ended.stdout == "True\n"


@pytest.mark.slow
@pytest.mark.parametrize("runner", [pytest.param("ray", marks=pytest.mark.faults), "local"])
def test_what_a_models_own_code_prints_is_not_in_the_result(tmp_path: Path, runner: str) -> None:
    shards(tmp_path)
    trusted = "--set=model.trust_remote_code=true"
    job = job_file(tmp_path, noisy_classifier(tmp_path / "noisy"), resources={"runner": runner})

    planned = command("label", job, trusted, "--dry-run", "--json")
    assert planned.stdout.startswith("{"), planned.stdout
    assert (json.loads(planned.stdout)["rows"], NOISES[0] in planned.stderr) == (150, True)

    ended = command("label", job, trusted, "--json", "--verbose")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout).keys() == KEYS
    assert [noise for noise in NOISES if noise not in ended.stderr] == []
