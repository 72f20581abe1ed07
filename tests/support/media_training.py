"""Trainings in this process: everything of `labelmill train` but the workers that Ray starts."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from labelmill.batch import Array, Ragged
from labelmill.cli.loading import load_training
from labelmill.reports import training_card
from labelmill.training import finetune, loop
from labelmill.training.examples import StoredExamples, batch_of
from labelmill.training.plan import Plan, make_plan
from labelmill.training.ray_group import Group, Kept
from labelmill.training.recipe import TrainRecipe
from tests.support.training import Desk

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


def train_here(recipe: TrainRecipe, group: Group, state: str, **_: Any) -> Kept:
    """In place of `ray_group.run`; the examples, which a finished run drops, are kept beside it."""
    assert group.workers == 1
    kept = kept_examples(Path(state))
    shutil.copytree(Path(recipe.examples).parent, kept, dirs_exist_ok=True)
    desk = Desk(Path(state))
    assert loop.train(recipe, desk)
    last = desk.resume()
    assert last is not None
    return Kept(last=last, best=last)


def kept_examples(state: Path) -> Path:
    """Where `train_here` keeps the examples of a run."""
    return state.with_name(f"{state.name}.examples")


def trained(monkeypatch: pytest.MonkeyPatch, job: Job, said: list[str] | None = None) -> Any:
    """The job from its file to its result; what it says goes to `said`."""
    monkeypatch.setattr(finetune.ray_group, "run", train_here)
    told: list[str] = [] if said is None else said
    return finetune.fine_tune(
        planned(job),
        say=told.append,
        show=lambda _: None,
        wished=lambda: False,
        papers=training_card.papers,
    )


def planned(job: Job, workers: int = 1) -> Plan:
    """The plan of a job with workers of one core; its file lies beside its result."""
    file = Path(job["output"]["path"]).with_suffix(".yaml")
    file.write_text(json.dumps(job), "utf-8")
    group = Group(workers=workers, gpus=0, cpus=1, max_failures=0)
    return make_plan(load_training(str(file), ()), lambda: group)


def prepared(plan: Plan, inputs: str, name: str = "train") -> list[tuple[bytes, int]]:
    """These inputs and the label of every example, sorted."""
    stored = StoredExamples(kept_examples(plan.state.path) / f"{name}.arrow")
    batches = [batch_of([stored[place]], stored.layout) for place in range(len(stored))]
    return sorted((_bytes(batch[inputs]), int(_dense(batch["labels"])[0])) for batch in batches)


def _dense(values: Array | Ragged) -> Array:
    return values.values if isinstance(values, Ragged) else values


def _bytes(values: Array | Ragged) -> bytes:
    return _dense(values).tobytes()


def first_loss(told: Any) -> float:
    """The loss of the first step."""
    return float(next(entry["loss"] for entry in told["history"] if "loss" in entry))
