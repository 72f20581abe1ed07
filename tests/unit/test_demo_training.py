"""A short training gives a model directory that transformers loads."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from labelmill.demo import chapters, library, training


@pytest.mark.slow
def test_training_for_a_few_steps_gives_a_whole_model_directory(tmp_path):
    lessons = library.lessons()[::27]
    told: list[tuple[int, int]] = []
    place = tmp_path / "model"
    trained = training.train(
        place, lessons, lambda done, steps: told.append((done, steps)), steps=3
    )
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert trained.lessons + trained.held_out == len(lessons)
    assert 0 <= trained.accuracy <= 1
    assert training.report(place) == trained
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    _assert_answers_with_a_chapter(place)


def test_report_without_a_model_is_none(tmp_path):
    assert training.report(tmp_path / "model") is None


def _assert_answers_with_a_chapter(place):
    model = AutoModelForSequenceClassification.from_pretrained(place).eval()
    tokenizer = AutoTokenizer.from_pretrained(place)
    with torch.inference_mode():
        logits = model(**tokenizer("Return the sine of x.", return_tensors="pt")).logits
    assert tuple(model.config.id2label.values()) == chapters.names()
    assert model.config.id2label[int(logits.argmax())] in chapters.names()
