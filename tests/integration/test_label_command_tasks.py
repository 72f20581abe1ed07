"""The command with real Ray on what is no plain text: pictures behind paths, chats to answer."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.test_label_command import command, job_file
from tests.support import image_models, inline
from tests.support.writing_models import tiny_decoder

pytestmark = pytest.mark.slow


def lines(folder: Path, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(text, encoding="utf-8")


def written(folder: Path) -> list[dict[str, Any]]:
    parts = sorted(folder.glob("*.jsonl"))
    assert parts
    return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


def same_in_one_process(path: str, home: Path) -> list[dict[str, Any]]:
    """The job again, without Ray."""
    settings = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    settings["output"]["path"] = str(home / "inline")
    settings["model"]["precision"] = "float32"
    home.joinpath("again").mkdir()
    inline.label(inline.job_of(home / "again", settings))
    return written(home / "inline")


@pytest.mark.faults  # half a minute
def test_pictures_behind_relative_paths_are_labelled_and_lost_ones_rejected(tmp_path: Path):
    model = image_models.tiny_image_classifier(tmp_path / "model")
    (tmp_path / "in" / "pictures").mkdir(parents=True)
    rows = [{"id": number, "image": f"pictures/{number}.png"} for number in range(8)]
    for row in rows[:-1]:
        picture = image_models.encoded_as(image_models.picture(row["id"]))
        (tmp_path / "in" / row["image"]).write_bytes(picture)
    (tmp_path / "in" / "pictures" / "3.png").write_bytes(b"broken")
    lines(tmp_path / "in", rows)
    path = job_file(
        tmp_path,
        model,
        task="image-classification",
        source={"split_rows": 4},
        output={"format": "jsonl", "max_rejected": 0.5},
    )

    ended = command("label", path, "--json", "--set", "model.precision=float32")

    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert (told["rows_labelled"], told["rows_rejected"]) == (6, 2)
    found = written(tmp_path / "out")
    assert [row["id"] for row in found] == [0, 1, 2, 4, 5, 6]
    assert found == same_in_one_process(path, tmp_path)
    rejects = command("status", str(tmp_path / "out"), "--rejects").stdout
    assert "pictures/7.png" in rejects


def test_chats_are_answered_the_same_by_two_replicas_and_by_one_process(tmp_path: Path):
    model = tiny_decoder(tmp_path / "model")
    rows = [
        {"id": number, "messages": [{"role": "user", "content": f"good {number} " * (number % 5)}]}
        for number in range(20)
    ]
    lines(tmp_path / "in", rows)
    path = job_file(
        tmp_path,
        model,
        task="text-generation",
        source={"split_rows": 5},
        options={"max_new_tokens": 12, "temperature": 0.9, "seed": 5},
        output={"format": "jsonl"},
        resources={"replicas": 2},
    )

    ended = command("label", path, "--json", "--set", "model.precision=float32")

    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert (told["rows_labelled"], told["splits"]) == (20, 4)
    found = written(tmp_path / "out")
    assert [row["id"] for row in found] == list(range(20))
    assert len({row["generated_text"] for row in found}) > 10
    assert {row["finish_reason"] for row in found} <= {"stop", "length"}
    assert found == same_in_one_process(path, tmp_path)
