"""Whole trainings of tasks without labels: the result is a model that the task labels with."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

from labelmill.ops import plugins
from labelmill.training import finetune
from labelmill.training.loop import train
from labelmill.training.plan import make_plan
from labelmill.training.ray_group import Group, Kept
from tests.support.labelling import label
from tests.support.models import save_tiny
from tests.support.sentence_models import tiny_encoder
from tests.support.training import Desk, job_of, losses_of, weights_of, write_rows
from tests.support.writing_models import tiny_decoder, tiny_encoder_decoder

WORDS = "the quick brown fox jumps over lazy dog".split()  # noqa: SIM905
TEXTS = [f"{one} {other}" for one in WORDS for other in WORDS]
TARGETS: dict[str, dict[str, list[Any]]] = {
    "summarization": {"summary": [text.split()[0] for text in TEXTS]},
    "translation": {"translation": [text.split()[1] for text in TEXTS]},
    "text-generation": {},
    "feature-extraction": {"positive": [text.split()[0] for text in TEXTS]},
}
# Neither M2M100 nor NLLB shifts labels by a method of its own.
STARTS = {
    "t5": ("summarization", {"prefix": "", "max_new_tokens": 8}),
    "m2m100": ("translation", {"source_language": "en", "target_language": "de"}),
    "gpt2": ("text-generation", {"max_new_tokens": 8}),
    "bert": ("feature-extraction", {}),
}


def start_of(place: Path, architecture: str) -> str:
    place.mkdir()
    if architecture == "bert":
        return tiny_encoder(place, architecture)
    make = tiny_decoder if architecture == "gpt2" else tiny_encoder_decoder
    return make(place, architecture)


def trained(tmp_path: Path, task: str, start: str, data: dict[str, Any], **rest: Any) -> Path:
    rows = write_rows(tmp_path / "rows.parquet", data)
    training = {
        "learning_rate": 3e-3,
        "max_steps": 20,
        "per_device_train_batch_size": 16,
        "eval_strategy": "steps",
        "save_strategy": "steps",
        "eval_steps": 10,
        "save_steps": 10,
        **rest.pop("training", {}),
    }
    job = job_of(tmp_path, task, start, {"train": rows}, training=training, **rest)
    group = Group(workers=1, gpus=0.0, cpus=1, max_failures=0)
    plan = make_plan(job, lambda: group)
    ready = finetune.prepare(plan, print)
    desk = Desk(tmp_path)
    assert train(ready.recipe, desk)
    losses = losses_of(desk)
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    last = desk.resume()
    assert last is not None
    finetune._exported(plan, ready, Kept(best=last, last=last), lambda _: {})
    return Path(plan.result)


@pytest.mark.parametrize("lora", [None, {"r": 4, "alpha": 8}], ids=["whole", "lora"])
@pytest.mark.parametrize("architecture", STARTS)
def test_the_result_labels(tmp_path, architecture, lora):
    name, options = STARTS[architecture]
    task = plugins.load_class("labelmill.tasks", name)()
    start = start_of(tmp_path / "start", architecture)
    place = trained(
        tmp_path, name, start, {"text": TEXTS, **TARGETS[name]},
        options=options, training={"lora": lora, "learning_rate": 1e-2 if lora else 3e-3},
    )  # fmt: skip
    assert weights_of(place).keys() == weights_of(Path(start)).keys()
    before = label(start, task, {"text": TEXTS[:4]}, task.Options(**options))
    after = label(str(place), task, {"text": TEXTS[:4]}, task.Options(**options))
    assert after.schema == before.schema
    assert after.column(0).null_count == 0
    assert after.column(0).to_pylist() != before.column(0).to_pylist()


def test_result_of_a_model_with_its_own_code_has_the_code(tmp_path):
    start = Path(save_tiny(tmp_path / "start", "bert", "AutoModelForSequenceClassification"))
    config = json.loads((start / "config.json").read_text())
    config["auto_map"] = {"AutoModelForSequenceClassification": "modeling_own.Own"}
    (start / "config.json").write_text(json.dumps(config))
    (start / "modeling_own.py").write_text(_OWN)
    own = {"trust_remote_code": True}
    data = {"text": TEXTS, "label": [text.split()[0] for text in TEXTS]}
    place = trained(tmp_path, "text-classification", str(start), data, model=own)
    assert (place / "modeling_own.py").read_text() == _OWN
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(place, **own)
    assert type(loaded).__name__ == "Own"


_OWN = """
from transformers import BertForSequenceClassification


class Own(BertForSequenceClassification):
    pass
"""


def test_a_new_head_learns_answers(tmp_path):
    """From a language model, which has no head for it."""
    place = tmp_path / "start"
    start = save_tiny(place, "bert", "AutoModelForMaskedLM")
    data = {
        "question": ["what?"] * len(TEXTS),
        "context": TEXTS,
        "answers": [{"text": [text.split()[0]], "answer_start": [0]} for text in TEXTS],
    }
    options = {"max_length": 32, "max_question_length": 8, "stride": 4}
    result = trained(tmp_path, "question-answering", start, data, options=options)
    task = plugins.load_class("labelmill.tasks", "question-answering")()
    given = {"question": ["what?"] * 4, "context": TEXTS[:4]}
    table = label(str(result), task, given, task.Options(**options))
    assert table["answer"].null_count == 0
