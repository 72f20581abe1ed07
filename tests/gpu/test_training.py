"""Training on a CUDA device, without Ray: it learns as on the CPU, and goes on where it stopped."""

import numpy as np
import pytest
import torch

from labelmill.training.loop import train
from tests.support.models import save_tiny
from tests.support.training import (
    STILL,
    Desk,
    job_of,
    losses_of,
    ready,
    reviews,
    state_of,
    tagged,
    weights_of,
    write_rows,
)
from tests.support.writing_models import tiny_encoder_decoder

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
TRAINING = {  # SGD: AdamW makes much of the last bits of small gradients
    "num_train_epochs": 3, "per_device_train_batch_size": 8, "optim": "sgd", "learning_rate": 0.01,
    "gradient_accumulation_steps": 2,
}  # fmt: skip


def job_for(folder, task, **training):
    (folder / "start").mkdir(parents=True)
    rows, start, still = CASES[task](folder / "start")
    data = {"train": write_rows(folder / "rows.parquet", rows), "validation_fraction": 0.25}
    wanted = {"model": {"config": still}, "training": {**TRAINING, **training}}
    return job_of(folder, task, start, data, **wanted)


def classified(place):
    return reviews(96), save_tiny(place, "bert", "AutoModelForMaskedLM"), STILL


def told_apart(place):
    return tagged(96), save_tiny(place, "bert", "AutoModelForMaskedLM"), STILL


def written(place):
    found = reviews(96)
    rows = {"text": found["text"], "summary": found["label"]}
    return rows, tiny_encoder_decoder(place, "t5"), {"dropout_rate": 0.0}


CASES = {
    "text-classification": classified,
    "token-classification": told_apart,
    "summarization": written,
}


def trained(folder, task, gpus, **training):
    made, desk = ready(job_for(folder, task, **training), gpus=gpus), Desk(folder)
    assert made.recipe.arguments["use_cpu"] == (not gpus)
    assert train(made.recipe, desk)
    return desk


@pytest.mark.parametrize("task", CASES)
def test_float32_learns_as_on_the_cpu(tmp_path, task):
    here, there = (
        trained(tmp_path / str(gpus), task, gpus, bf16=False, tf32=False) for gpus in (0.0, 1.0)
    )
    alike = 4 if task == "summarization" else None  # a tiny T5 makes much of the last bits soon
    np.testing.assert_allclose(losses_of(there)[:alike], losses_of(here)[:alike], rtol=2e-3)


@pytest.mark.parametrize("settings", [{}, {"lora": {"r": 4}}, {"gradient_checkpointing": True}])
def test_bfloat16_comes_near_the_losses_of_float32(tmp_path, settings):
    runs = [
        trained(tmp_path / str(bf16), "text-classification", 1.0, bf16=bf16, **settings)
        for bf16 in (False, True)
    ]
    np.testing.assert_allclose(losses_of(runs[1]), losses_of(runs[0]), rtol=0.1)


def test_compiled_learns_the_same(tmp_path):
    # transformers would switch TF32 on with compiling, for all that this process does later.
    exact = {"bf16": False, "tf32": False}
    runs = [
        trained(tmp_path / str(wish), "text-classification", 1.0, torch_compile=wish, **exact)
        for wish in (False, True)
    ]
    np.testing.assert_allclose(losses_of(runs[1]), losses_of(runs[0]), rtol=1e-2)


def test_stopped_and_gone_on_with_is_the_same_training(tmp_path):
    whole = trained(tmp_path / "whole", "text-classification", 1.0, bf16=False)
    steps = state_of(whole)["global_step"]
    job = job_for(tmp_path / "broken", "text-classification", bf16=False)
    recipe = ready(job, gpus=1.0).recipe
    assert not train(recipe, Desk(tmp_path / "broken", stop_at=steps * 2 // 3))
    again = Desk(tmp_path / "broken")
    assert train(recipe, again)
    np.testing.assert_allclose(losses_of(again), losses_of(whole), rtol=1e-4)
    for name, value in weights_of(whole.resume()).items():
        torch.testing.assert_close(weights_of(again.resume())[name], value, rtol=1e-3, atol=1e-5)
