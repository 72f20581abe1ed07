"""Two workers with half the batch are one with the whole batch: losses and weights."""

import numpy as np
import pytest
import torch
import transformers
from transformers import Trainer, TrainingArguments

from labelmill.training.loop import train
from tests.support.models import save_tiny
from tests.support.training import (
    STILL,
    Desk,
    evaluated,
    job_of,
    losses_of,
    ready,
    reviews,
    train_together,
    weights_of,
    write_rows,
)
from tests.support.writing_models import calm, tiny_encoder_decoder

pytestmark = pytest.mark.slow

# Plain gradient descent: Adam would hide a gradient that is twice as large, and makes a step of
# rounding errors where a gradient is 0.
BASE = {"optim": "sgd", "learning_rate": 0.2, "num_train_epochs": 2, "max_grad_norm": 0.0}


def tagged(rows):
    """Words with the tags that their letters give; rows of very unequal length."""
    texts = [text.split() for text in reviews(rows)["text"]]
    tags = [["B-X" if word in ("great", "terrible") else "O" for word in words] for words in texts]
    return {"words": texts, "tags": tags}


def told(rows):
    """Texts of unequal length with summaries of unequal length."""
    texts = reviews(rows)["text"]
    return {
        "text": texts,
        "summary": [" ".join(text.split()[: 1 + len(text) % 5]) for text in texts],
    }


def alone_and_together(tmp_path, start, task, data, config, **training):
    """The desks of one worker with the whole batch, and of two with half of it each."""
    desks = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        batch = {"per_device_train_batch_size": 8 // workers}
        job = job_of(
            folder, task, start, data, model={"config": config},
            training={**BASE, **batch, **training},
        )  # fmt: skip
        recipe = ready(job, workers).recipe
        desk = Desk(folder)
        if workers == 1:
            train(recipe, desk)
        else:
            train_together(recipe, folder, workers)
        desks.append(desk)
    return desks


def the_same(one, two):
    np.testing.assert_allclose(losses_of(two), losses_of(one), rtol=1e-4)
    measured = [[entry["eval_loss"] for entry in evaluated(desk)] for desk in (one, two)]
    np.testing.assert_allclose(measured[1], measured[0], rtol=1e-4)
    for name, value in weights_of(one.resume()).items():
        torch.testing.assert_close(weights_of(two.resume())[name], value, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize(
    ("task", "columns", "weights"),
    [("text-classification", reviews, "balanced"), ("token-classification", tagged, "none")],
)
def test_two_workers_learn_what_one_does(tmp_path, task, columns, weights):
    """With 45 rows the last step of an epoch is not full; tokens are shared out unevenly."""
    start = save_tiny(tmp_path / "start", "bert", "AutoModelForMaskedLM")
    path = write_rows(tmp_path / "rows.parquet", columns(45))
    data = {"train": path, "validation_fraction": 0.2, "class_weights": weights}
    the_same(*alone_and_together(tmp_path, start, task, data, STILL))


@pytest.mark.parametrize(
    ("architecture", "still"),
    [
        ("t5", {"dropout_rate": 0.0}),
        pytest.param("bart", {"dropout": 0.0}, marks=pytest.mark.faults),
    ],
)
def test_two_workers_learn_to_write_what_one_does(tmp_path, architecture, still):
    """What is learned of a row has a length of its own, so that workers have unequal counts."""
    (tmp_path / "start").mkdir()
    start = calm(tiny_encoder_decoder(tmp_path / "start", architecture))
    path = write_rows(tmp_path / "rows.parquet", told(45))
    data = {"train": path, "validation_fraction": 0.2}
    training = {"learning_rate": 0.05}
    one, two = alone_and_together(tmp_path, start, "summarization", data, still, **training)
    assert losses_of(one)[-1] < 0.98 * losses_of(one)[0]
    the_same(one, two)


def test_the_stock_trainer_multiplies_the_loss_by_the_workers(tmp_path):
    """Why the losses are ours: with transformers' own way this is what two workers would log."""
    start = save_tiny(tmp_path / "start", "bert", "AutoModelForSequenceClassification")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(start).eval()
    trainer = Trainer(model, TrainingArguments(tmp_path, use_cpu=True, report_to="none"))
    trainer.accelerator.state._shared_state["num_processes"] = 2
    try:
        inputs = {"input_ids": torch.tensor([[2, 5, 3], [2, 6, 3]]), "labels": torch.tensor([0, 1])}
        mean = model(**inputs).loss
        doubled = trainer.compute_loss(model, inputs, num_items_in_batch=torch.tensor(4))
    finally:
        trainer.accelerator.state._shared_state["num_processes"] = 1
    torch.testing.assert_close(doubled, 2 * mean)
