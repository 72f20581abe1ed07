"""Trainings in this process: everything of `labelmill train` but the workers that Ray starts."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from labelmill.cli.loading import load_training
from labelmill.training import finetune, loop
from labelmill.training.ray_group import Group, Kept
from labelmill.training.recipe import TrainRecipe
from labelmill.training.seat import Standing

# Of an optimizer without memory: what a step changes is its gradient.
ONE_STEP = {
    "max_steps": 1,
    "optim": "sgd",
    "learning_rate": 0.1,
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "max_grad_norm": 0,
    "logging_steps": 1,
    "bf16": False,
}
LONG = {
    "num_train_epochs": 25,
    "learning_rate": 2e-3,
    "warmup_steps": 0,
    "per_device_train_batch_size": 8,
    "eval_strategy": "no",
    "save_strategy": "steps",
    "save_steps": 1000,
    "report_to": [],
    "bf16": False,
}


Job = Mapping[str, Any]


class Corner:
    """A seat in this process; see `training.seat`."""

    def __init__(self, state: Path) -> None:
        self.scratch = state / "scratch"
        self._kept = state / "kept"
        self.checkpoints: list[tuple[float, Path]] = []

    def resume(self) -> Path | None:
        return None

    def keep(self, directory: Path, score: float | None) -> None:
        place = self._kept / directory.name
        shutil.copytree(directory, place)
        self.checkpoints.append((score or 0.0, place))

    def show(self, standing: Standing) -> bool:
        assert standing.step <= standing.steps
        return False


def train_here(recipe: TrainRecipe, group: Group, state: Path, **_: Any) -> Kept:
    """In place of `ray_group.run`."""
    assert group.workers == 1
    seat = Corner(state)
    torch.set_num_threads(group.cpus)
    assert loop.train(recipe, seat)
    return Kept(last=seat.checkpoints[-1][1], best=max(seat.checkpoints, key=lambda one: one[0])[1])


def trained(monkeypatch: pytest.MonkeyPatch, job: Job, said: list[str] | None = None) -> Any:
    """The job from its file to its result; what it says goes to `said`."""
    monkeypatch.setattr(finetune.ray_group, "run", train_here)
    told: list[str] = [] if said is None else said
    return finetune.fine_tune(
        planned(job), say=told.append, show=lambda _: None, wished=lambda: False
    )


def planned(job: Job) -> finetune.Plan:
    """The plan of a job with one worker on one core; its file lies beside its result."""
    file = Path(job["output"]["path"]).with_suffix(".yaml")
    file.write_text(json.dumps(job), "utf-8")
    group = Group(workers=1, gpus=0, cpus=1, max_failures=0)
    return finetune.make_plan(load_training(str(file), ()), lambda: group)


def first_loss(told: Any) -> float:
    """The loss of the first step."""
    return float(next(entry["loss"] for entry in told["history"] if "loss" in entry))
