"""Models that hear learn what transformers learns, and give the labels back that they were told."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import transformers
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.utils.rnn import pad_sequence

from labelmill.errors import InputError
from labelmill.tasks.audio_classification import AudioClassification
from labelmill.tasks.audio_classification import AudioClassificationOptions as Options
from labelmill.training import finetune
from labelmill.training.collate import Collator
from labelmill.training.examples import StoredExamples
from tests.support.audio_models import RATE, file, tiny_audio_classifier, tone
from tests.support.labelling import label
from tests.support.media_training import (
    LONG,
    ONE_STEP,
    first_loss,
    kept_examples,
    planned,
    prepared,
    trained,
)
from tests.support.training import losses_of, train_together

LABELS = ["sound a", "sound b", "sound c"]
SECONDS = [0.5, 0.3, 0.9, 0.25, 0.7, 0.5, 0.31, 0.62]
SOUNDS = [tone(seconds, seed) for seed, seconds in enumerate(SECONDS)]
FILES = [file(sound) for sound in SOUNDS]
GIVEN = ["sound c", "sound a", "sound b", "sound a", "sound c", "sound c", "sound b", "sound a"]
SETS = [["sound a"], [], LABELS, ["sound b"], ["sound c"], ["sound b"], [], ["sound c", "sound a"]]
STILL = {
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "final_dropout": 0.0,
    "feat_proj_dropout": 0.0,
    "layerdrop": 0.0,
    "apply_spec_augment": False,
}


@pytest.fixture
def start(tmp_path):
    return lambda architecture: tiny_audio_classifier(tmp_path / architecture, architecture)


def still(architecture: str) -> dict[str, Any]:
    return {} if architecture == "ast" else STILL


def table(path: Path, files: list[Any], labels: list[Any]) -> str:
    pq.write_table(pa.table({"audio": files, "label": labels}), path)
    return str(path)


def job(
    model: str, rows: str, tmp_path: Path, training: dict[str, Any], config: Any = None, **data: Any
) -> dict[str, Any]:
    return {
        "task": "audio-classification",
        "model": {"path": model, "config": config or {}},
        "data": {"train": rows, "validation_fraction": 0, **data},
        "training": {"per_device_train_batch_size": 8, **training},
        "output": {"path": str(tmp_path / "result")},
    }


def inputs_of(path: str, architecture: str) -> dict[str, torch.Tensor]:
    """All sounds as transformers wants them: masked where the model can, else zeros at the end."""
    extractor = transformers.AutoFeatureExtractor.from_pretrained(path)
    if architecture == "wav2vec2-group":
        heard = [extractor(one, sampling_rate=RATE)["input_values"][0] for one in SOUNDS]
        return {"input_values": pad_sequence([torch.tensor(one) for one in heard], True)}
    more = {} if architecture == "ast" else {"padding": True, "return_attention_mask": True}
    return dict(extractor(SOUNDS, sampling_rate=RATE, return_tensors="pt", **more))


def plain_step(path: str, architecture: str, labels: torch.Tensor) -> tuple[float, Any]:
    """Loss of the obvious way over all sounds, and the weights after a step of 0.1."""
    auto = transformers.AutoModelForAudioClassification
    model = auto.from_pretrained(path, **still(architecture)).train()
    inputs = inputs_of(path, architecture)
    if labels.dim() == 1:
        loss = model(**inputs, labels=labels).loss
    else:
        loss = binary_cross_entropy_with_logits(model(**inputs).logits, labels)
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    return loss.item(), model.state_dict()


def assert_weights_equal(result: str, expected: Any) -> None:
    found = transformers.AutoModelForAudioClassification.from_pretrained(result).state_dict()
    assert found.keys() == expected.keys()
    for name, values in found.items():
        torch.testing.assert_close(values, expected[name], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("architecture", ["wav2vec2-layer", "wav2vec2-group", "ast"])
def test_a_step_is_that_of_transformers(start, tmp_path, monkeypatch, architecture):
    path = start(architecture)
    rows = table(tmp_path / "data.parquet", FILES, GIVEN)
    told = trained(monkeypatch, job(path, rows, tmp_path, ONE_STEP, still(architecture)))
    labels = torch.tensor([LABELS.index(one) for one in GIVEN])
    loss, weights = plain_step(path, architecture, labels)
    assert first_loss(told) == pytest.approx(loss, abs=1e-5)
    assert_weights_equal(told["path"], weights)


def test_a_step_of_label_sets_is_that_of_transformers(start, tmp_path, monkeypatch):
    path = start("wav2vec2-layer")
    rows = table(tmp_path / "data.parquet", FILES, SETS)
    told = trained(monkeypatch, job(path, rows, tmp_path, ONE_STEP, STILL))
    given = torch.tensor([[float(name in one) for name in LABELS] for one in SETS])
    loss, weights = plain_step(path, "wav2vec2-layer", given)
    assert first_loss(told) == pytest.approx(loss, abs=1e-5)
    assert_weights_equal(told["path"], weights)


@pytest.mark.parametrize("architecture", ["wav2vec2-layer", "ast"])
def test_what_was_learned_is_labelled(start, tmp_path, monkeypatch, architecture):
    names = ["one", "two", "six", "one", "two", "six", "ten", "ten"]
    rows = table(tmp_path / "data.parquet", FILES, names)
    config = still(architecture)
    told = trained(monkeypatch, job(start(architecture), rows, tmp_path, LONG, config))
    found = label(told["path"], AudioClassification(), {"audio": FILES}, Options())
    assert found["label"].to_pylist() == names


def test_every_piece_of_a_sound_is_to_get_its_label(start, tmp_path, monkeypatch):
    rows = table(tmp_path / "data.parquet", FILES, GIVEN)
    made = job(start("wav2vec2-layer"), rows, tmp_path, {"max_steps": 1})
    made["options"] = {"chunk_seconds": 0.4}
    told = trained(monkeypatch, made)
    pieces = [2, 1, 3, 1, 2, 2, 1, 2]
    assert told["data"]["rows"] == len(FILES)
    assert told["data"]["train"] == sum(pieces)
    found = [number for _, number in prepared(planned(made), "input_values")]
    expected = [
        LABELS.index(name) for name, times in zip(GIVEN, pieces, strict=True) for _ in range(times)
    ]
    assert sorted(found) == sorted(expected)


def test_sounds_shorter_than_what_is_masked_are_learned(start, tmp_path, monkeypatch):
    """SpecAugment masks ten frames, a fifth of a second, and these have no more than seven."""
    short = [file(tone(0.1 + place / 200, place)) for place in range(8)]
    rows = table(tmp_path / "data.parquet", short, GIVEN)
    told = trained(monkeypatch, job(start("wav2vec2-layer"), rows, tmp_path, {"max_steps": 3}))
    assert told["steps"] == 3


def test_padding_to_what_is_masked_is_no_sound(start, tmp_path, monkeypatch):
    short = [file(tone(0.1 + place / 200, place)) for place in range(8)]
    rows = table(tmp_path / "data.parquet", short, GIVEN)
    made = job(start("wav2vec2-layer"), rows, tmp_path, {"max_steps": 1})
    trained(monkeypatch, made)
    plan = planned(made)
    stored = StoredExamples(kept_examples(plan.state.path) / "train.arrow")
    assert plan.facts.sound is not None
    collate = Collator(layout=stored.layout, pad_token_id=0, shortest=plan.facts.sound.span)
    batch = collate([stored[place] for place in range(8)])
    assert batch["input_values"].shape == (8, 9 * 320 + 400)  # ten frames
    assert batch["attention_mask"].sum(dim=1).tolist() == stored.lengths.tolist()
    assert not batch["input_values"][batch["attention_mask"] == 0].any()


def test_workers_need_no_gradient_of_layers_that_are_left_out(start, tmp_path):
    rows = table(tmp_path / "data.parquet", FILES, GIVEN)
    config = {"layerdrop": 0.9}
    made = job(
        start("wav2vec2-layer"), rows, tmp_path, {"max_steps": 4, "logging_steps": 1}, config
    )
    made["training"]["per_device_train_batch_size"] = 4
    recipe = finetune.prepare(planned(made, workers=2), print).recipe
    desk = train_together(recipe, tmp_path / "together", 2)
    assert len(losses_of(desk)) == 4


def as_folders(folder: Path) -> str:
    for place, (data, name) in enumerate(zip(FILES, GIVEN, strict=True)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / f"{place}.wav").write_bytes(data)
    return str(folder)


def as_paths(folder: Path) -> str:
    (folder / "files").mkdir(parents=True)
    lines = []
    for place, (data, name) in enumerate(zip(FILES, GIVEN, strict=True)):
        (folder / "files" / f"{place}.wav").write_bytes(data)
        lines.append(json.dumps({"audio": f"files/{place}.wav", "label": name}))
    (folder / "data.jsonl").write_text("\n".join(lines))
    return str(folder / "data.jsonl")


@pytest.mark.parametrize("written", [as_folders, as_paths])
def test_examples_are_the_same_however_sounds_are_kept(start, tmp_path, monkeypatch, written):
    path, found = start("ast"), []
    plain = table(tmp_path / "data.parquet", FILES, GIVEN)
    other = written(tmp_path / "other")
    told = {"format": "audiofolder"} if written is as_folders else {}
    for name, rows, more in (("one", plain, {}), ("two", other, told)):
        (tmp_path / name).mkdir()
        made = job(path, rows, tmp_path / name, {"max_steps": 1}, **more)
        trained(monkeypatch, made)
        found.append(prepared(planned(made), "input_values"))
    assert found[0] == found[1]
    assert len({heard for heard, _ in found[0]}) == len(FILES)


def test_damaged_sounds_are_named_before_training(start, tmp_path, monkeypatch):
    files = [*FILES[:2], FILES[2][:2000], *FILES[3:]]
    rows = table(tmp_path / "data.parquet", files, GIVEN)
    monkeypatch.setattr("labelmill.training.loop.train", lambda *_: pytest.fail("trained"))
    with pytest.raises(InputError, match=r"data\.parquet at 2: the sound is cut off"):
        trained(monkeypatch, job(start("ast"), rows, tmp_path, {"max_steps": 1}))
