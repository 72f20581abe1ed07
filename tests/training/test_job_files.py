"""Every job file under configs/train runs as it is, on a tiny model; its result labels.

Only what must be is changed: where model, data and result lie, and how long it takes.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from labelmill.config.loading import load_as
from labelmill.config.train_job import TrainJob
from labelmill.ops import plugins
from labelmill.reports import training_card
from labelmill.tasks import is_trainable
from labelmill.training import finetune
from labelmill.training.loop import train
from labelmill.training.plan import make_plan
from labelmill.training.ray_group import Group, Kept
from tests.support import audio_models, image_models, inline
from tests.support.models import save_tiny, tiny_classifier
from tests.support.sentence_models import tiny_encoder
from tests.support.tagger_models import tiny_tagger
from tests.support.training import Desk, losses_of, reviews, write_rows
from tests.support.writing_models import tiny_decoder, tiny_encoder_decoder

CONFIGS = Path(__file__).parents[2] / "configs" / "train"
ROWS = 24
TEXTS = reviews(ROWS)["text"]
PAIRS = {"text": TEXTS, "shorter": [text.split()[0] for text in TEXTS]}
Rows = Mapping[str, list[Any]]


def _answers() -> Rows:
    spots = [{"text": [text.split()[0]], "answer_start": [0]} for text in TEXTS]
    return {"question": ["which word?"] * ROWS, "context": TEXTS, "answers": spots}


def _tags() -> Rows:
    words = [text.split() for text in TEXTS]
    return {"tokens": words, "ner_tags": [["B-LOC", *["O"] * (len(row) - 1)] for row in words]}


def _chats() -> Rows:
    roles = ("user", "assistant")
    said = [[{"role": role, "content": text} for role in roles] for text in TEXTS]
    return {"messages": said}


def _media(name: str, made: Callable[[int], bytes]) -> Rows:
    return {name: [made(row) for row in range(ROWS)], "label": ["a", "b", "c"] * (ROWS // 3)}


def _picture(row: int) -> bytes:
    return image_models.encoded_as(image_models.picture(row))


def _sound(row: int) -> bytes:
    return audio_models.file(audio_models.tone(0.3, row))


# A model to start from, rows by the columns that the job file names, options that are a model's.
CASES: Mapping[str, tuple[Callable[[Path], str], Rows, Mapping[str, Any]]] = {
    "text-classification": (tiny_classifier, reviews(ROWS), {}),
    "token-classification": (tiny_tagger, _tags(), {}),
    "question-answering": (
        lambda place: save_tiny(place, "bert", "AutoModelForQuestionAnswering"),
        _answers(),
        {},
    ),
    "summarization": (
        lambda place: tiny_encoder_decoder(place, "t5"),
        {"text": PAIRS["text"], "summary": PAIRS["shorter"]},
        {},
    ),
    "translation": (
        lambda place: tiny_encoder_decoder(place, "m2m100"),
        {"english": PAIRS["text"], "german": PAIRS["shorter"]},
        {"source_language": "en", "target_language": "de", "max_new_tokens": 8},
    ),
    "text-generation": (tiny_decoder, _chats(), {"max_new_tokens": 8}),
    "feature-extraction": (
        tiny_encoder,
        {"question": PAIRS["text"], "answer": PAIRS["shorter"]},
        {},
    ),
    "image-classification": (image_models.tiny_image_classifier, _media("image", _picture), {}),
    "audio-classification": (
        lambda place: audio_models.tiny_audio_classifier(place, "wav2vec2-layer"),
        _media("audio", _sound),
        {},
    ),
}


def test_every_task_that_learns_has_a_job_file():
    names = plugins.modules("labelmill.tasks")
    able = {name for name in names if is_trainable(plugins.load_class("labelmill.tasks", name)())}
    assert able == set(CASES) == {path.stem for path in CONFIGS.glob("*.yaml")}


def _options(name: str) -> Any:
    return plugins.load_class("labelmill.tasks", name).Options


def _written(place: Path, task: str, start: str) -> Path:
    """The job file, with the places of this test."""
    _, rows, options = CASES[task]
    settings = yaml.safe_load((CONFIGS / f"{task}.yaml").read_text(encoding="utf-8"))
    settings["model"] |= {"path": start, "revision": None}
    rows_at = write_rows(place / "rows.parquet", rows)
    settings["data"] |= {"train": rows_at, "validation": rows_at}
    told = settings.get("options") or {}
    # Tiny models have 64 positions.
    settings["options"] = {
        **told,
        **({"max_length": None} if "max_length" in told else {}),
        **options,
    }
    settings["training"] |= {"max_steps": 3, "report_to": "none", "logging_steps": 1}
    settings["output"] = {"path": str(place / "result")}
    path = place / "job.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


@pytest.mark.parametrize("task", CASES)
def test_job_file_trains_and_its_result_labels(tmp_path: Path, task: str) -> None:
    (tmp_path / "start").mkdir()
    start = CASES[task][0](tmp_path / "start")
    job = load_as(TrainJob, str(_written(tmp_path, task, start)), options_class=_options)
    group = Group(workers=1, gpus=0.0, cpus=1, max_failures=0)
    plan = make_plan(job, lambda: group)
    ready = finetune.prepare(plan, print)
    desk = Desk(tmp_path)
    assert train(ready.recipe, desk)
    assert losses_of(desk)
    last = desk.resume()
    assert last is not None
    told = finetune._exported(plan, ready, Kept(best=last, last=last), lambda _: {})

    # By the job file that the card proposes.
    written = training_card.command(told).split("END'\n")[1].split("\nEND")[0]
    settings = yaml.safe_load(written)
    settings["model"]["precision"] = "float32"
    settings["source"]["path"] = str(tmp_path / "rows.parquet")
    settings["output"] = {"path": str(tmp_path / "out"), "prefix": "our_", "max_rejected": 1.0}
    status = inline.label(inline.job_of(tmp_path, settings))
    rows = CASES[task][1]
    assert (status.complete, status.rows_labelled) == (True, len(next(iter(rows.values()))))
