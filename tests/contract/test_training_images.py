"""Models that see learn what transformers learns, and give the labels back that they were shown."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import transformers

from labelmill.errors import InputError, RowRefused
from labelmill.tasks.image_classification import ImageClassification
from labelmill.tasks.image_classification import ImageClassificationOptions as Options
from tests.support.image_models import (
    encoded_as,
    label_images,
    picture,
    seen_by_transformers,
    tiny_image_classifier,
)
from tests.support.media_training import LONG, ONE_STEP, first_loss, planned, prepared, trained

LABELS = ["label a", "label b", "label c"]
PICTURES = [encoded_as(picture(seed, 40 + seed, 44)) for seed in range(8)]
GIVEN = ["label c", "label a", "label b", "label a", "label c", "label c", "label b", "label a"]
SETS = [["label a"], [], LABELS, ["label b"], ["label c", "label a"], ["label b"], [], ["label c"]]


@pytest.fixture
def start(tmp_path):
    return lambda architecture, **more: tiny_image_classifier(
        tmp_path / architecture, architecture, **more
    )


def table(path: Path, files: list[bytes], labels: list[Any], **more: list[Any]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": files, "label": labels, **more}), path)
    return str(path)


def job(
    model: str, rows: str, tmp_path: Path, training: dict[str, Any], **data: Any
) -> dict[str, Any]:
    return {
        "task": "image-classification",
        "model": {"path": model},
        "data": {"train": rows, "validation_fraction": 0, **data},
        "training": {"per_device_train_batch_size": 8, **training},
        "output": {"path": str(tmp_path / "result")},
    }


def plain_step(path: str, labels: torch.Tensor, **config: Any) -> tuple[float, Any]:
    """Loss of the obvious way over all pictures, and the weights after a step of 0.1."""
    processor = transformers.AutoImageProcessor.from_pretrained(path)
    model = transformers.AutoModelForImageClassification.from_pretrained(path, **config).train()
    seen = [seen_by_transformers(data) for data in PICTURES]
    inputs = processor(seen, return_tensors="pt")
    loss = model(**inputs, labels=labels).loss
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    return loss.item(), model.state_dict()


def assert_weights_equal(result: str, expected: Any) -> None:
    found = transformers.AutoModelForImageClassification.from_pretrained(result).state_dict()
    assert found.keys() == expected.keys()
    for name, values in found.items():
        torch.testing.assert_close(values, expected[name], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("architecture", ["vit", "convnext", "dinov2"])
def test_a_step_is_that_of_transformers(start, tmp_path, monkeypatch, architecture):
    path = start(architecture)
    data = table(tmp_path / "data.parquet", PICTURES, GIVEN)
    told = trained(monkeypatch, job(path, data, tmp_path, ONE_STEP))
    labels = torch.tensor([LABELS.index(one) for one in GIVEN])
    loss, weights = plain_step(path, labels)
    assert first_loss(told) == pytest.approx(loss, abs=1e-5)
    assert_weights_equal(told["path"], weights)


def test_a_step_of_label_sets_is_that_of_transformers(start, tmp_path, monkeypatch):
    path = start("vit")
    data = table(tmp_path / "data.parquet", PICTURES, SETS)
    told = trained(monkeypatch, job(path, data, tmp_path, ONE_STEP))
    given = torch.tensor([[float(name in one) for name in LABELS] for one in SETS])
    loss, weights = plain_step(path, given, problem_type="multi_label_classification")
    assert first_loss(told) == pytest.approx(loss, abs=1e-5)
    assert_weights_equal(told["path"], weights)
    config = json.loads((Path(told["path"]) / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"


def test_what_was_learned_is_labelled(start, tmp_path, monkeypatch):
    names = ["cat", "dog", "eel", "cat", "dog", "eel", "fox", "fox"]
    data = table(tmp_path / "data.parquet", PICTURES, names)
    told = trained(monkeypatch, job(start("vit"), data, tmp_path, LONG))
    assert told["data"]["labels"] == ("cat", "dog", "eel", "fox")
    assert (
        label_images(told["path"], ImageClassification(), PICTURES, Options())["label"].to_pylist()
        == names
    )


def test_sets_that_were_learned_are_labelled(start, tmp_path, monkeypatch):
    sets = [["red"], [], ["red", "round"], ["round"], ["red"], ["round"], [], ["round", "red"]]
    data = table(tmp_path / "data.parquet", PICTURES, sets)
    told = trained(monkeypatch, job(start("vit"), data, tmp_path, LONG))
    found = label_images(told["path"], ImageClassification(), PICTURES, Options())
    assert [sorted(one) for one in found["label"].to_pylist()] == [sorted(one) for one in sets]


def as_paths(folder: Path) -> str:
    for place, data in enumerate(PICTURES):
        (folder / "files").mkdir(parents=True, exist_ok=True)
        (folder / "files" / f"{place}.png").write_bytes(data)
    lines = [{"image": f"files/{place}.png", "label": label} for place, label in enumerate(GIVEN)]
    (folder / "data.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return str(folder / "data.jsonl")


def as_structs(folder: Path) -> str:
    cells = [{"bytes": data, "path": f"{place}.png"} for place, data in enumerate(PICTURES)]
    return table(folder / "data.parquet", cells, GIVEN)


def as_bytes(folder: Path) -> str:
    return table(folder / "data.parquet", PICTURES, GIVEN)


def as_folders(folder: Path) -> str:
    for place, (data, label) in enumerate(zip(PICTURES, GIVEN, strict=True)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / f"{place}.png").write_bytes(data)
    return str(folder)


@pytest.mark.parametrize("written", [as_paths, as_structs, as_folders])
def test_examples_are_the_same_however_pictures_are_kept(start, tmp_path, monkeypatch, written):
    path, found = start("vit"), []
    for name, kind in (("one", as_bytes), ("other", written)):
        home = tmp_path / name
        home.mkdir()
        told = {"format": "imagefolder"} if kind is as_folders else {}
        made = job(path, kind(home / "data"), home, {"max_steps": 1}, **told)
        trained(monkeypatch, made)
        found.append(prepared(planned(made), "pixel_values"))
    assert found[0] == found[1]
    assert len({pixels for pixels, _ in found[0]}) == len(PICTURES)


def test_rows_kept_back_stay_so_when_the_data_move(start, tmp_path, monkeypatch):
    path, found = start("vit"), []
    for place in ("here", "there/below"):
        home = tmp_path / place
        home.mkdir(parents=True)
        made = job(path, as_paths(home / "data"), home, {"max_steps": 1}, validation_fraction=0.4)
        trained(monkeypatch, made)
        found.append(prepared(planned(made), "pixel_values", "validation"))
    assert found[0] == found[1]
    assert 0 < len(found[0]) < len(PICTURES)


def test_damaged_pictures_are_named_before_training(start, tmp_path, monkeypatch):
    files = [*PICTURES[:3], PICTURES[3][:60], b"no picture", *PICTURES[5:]]
    data = table(tmp_path / "data.parquet", files, GIVEN)
    made = job(start("vit"), data, tmp_path, {"max_steps": 1})
    monkeypatch.setattr("labelmill.training.loop.train", lambda *_: pytest.fail("trained"))
    with pytest.raises(InputError, match=r"data\.parquet at 3: the image cannot be decoded"):
        trained(monkeypatch, made)
    with pytest.raises(RowRefused, match="at 4: not an image of a known format"):
        trained(monkeypatch, {**made, "data": {**made["data"], "on_bad_row": "fail"}})


def test_damaged_pictures_may_be_left_out(start, tmp_path, monkeypatch):
    files = [*PICTURES[:3], PICTURES[3][:60], *PICTURES[4:]]
    data = table(tmp_path / "data.parquet", files, GIVEN)
    said: list[str] = []
    made = job(start("vit"), data, tmp_path, {"max_steps": 1}, max_rejected=0.2)
    told = trained(monkeypatch, made, said)
    assert told["data"]["rejected"] == 1
    assert told["data"]["train"] == 7
    assert any("data.parquet at 3: the image cannot be decoded" in line for line in said)


def test_a_file_that_is_not_there_is_named(start, tmp_path, monkeypatch):
    data = as_paths(tmp_path / "data")
    (tmp_path / "data" / "files" / "5.png").unlink()
    with pytest.raises(InputError, match=r"there is no file .*5\.png"):
        trained(monkeypatch, job(start("vit"), data, tmp_path, {"max_steps": 1}))


MEASURED = """
import json, resource, sys
from tests.support.media_training import planned
from labelmill.training import finetune

plan = planned(json.loads(sys.argv[1]))
small = planned(json.loads(sys.argv[2]))
finetune.prepare(small, print)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
finetune.prepare(plan, print)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux alone")
def test_pixels_are_not_held_in_memory(tmp_path):
    path = tiny_image_classifier(tmp_path / "vit")
    settings = json.loads((Path(path) / "preprocessor_config.json").read_text())
    settings["size"] = {"height": 224, "width": 224}
    (Path(path) / "preprocessor_config.json").write_text(json.dumps(settings))
    jobs = []
    for name, rows in (("large", 448), ("small", 192)):
        (tmp_path / name).mkdir()
        files = [PICTURES[row % 8] for row in range(rows)]
        data = table(tmp_path / f"{name}.parquet", files, [GIVEN[row % 8] for row in range(rows)])
        jobs.append(json.dumps(job(path, data, tmp_path / name, {})))
    command = [sys.executable, "-c", MEASURED, *jobs]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    grown = int(done.stdout.split()[-1])
    written = (tmp_path / "large" / "result.training" / "examples" / "train.arrow").stat().st_size
    assert written > 448 * 224 * 224 * 3 * 4
    assert grown < 40, f"{grown} MiB for {written >> 20} MiB of pixels"
