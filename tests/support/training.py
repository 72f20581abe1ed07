"""Trainings without Ray: a job becomes a recipe, its loop runs here or in child processes."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.multiprocessing

from labelmill.config.loading import load_as
from labelmill.config.train_job import TrainJob
from labelmill.ops import plugins
from labelmill.training import finetune, watching
from labelmill.training.finetune import Ready
from labelmill.training.loop import train
from labelmill.training.plan import make_plan
from labelmill.training.ray_group import Group
from labelmill.training.recipe import TrainRecipe
from labelmill.training.seat import Standing
from tests.support import gloo

STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}  # of a BERT
torch.set_num_threads(1)  # of tiny models; more would wait for each other
watching.EVERY = 0.0  # seconds: a desk is told of every step
QUIET = {"bf16": False, "report_to": "none", "logging_steps": 1, "weight_decay": 0.0}


def write_rows(path: Path, columns: Mapping[str, Sequence[Any]]) -> str:
    """A Parquet file; its path."""
    pq.write_table(pa.table(dict(columns)), path)
    return str(path)


def reviews(rows: int) -> dict[str, list[str]]:
    """Texts of 3 to 20 words whose label one word tells; the same every time."""
    words = "the quick film plot actor price service food and then it was".split()  # noqa: SIM905
    told = {"bad": "terrible", "good": "great", "middling": "slow"}
    texts, labels = [], []
    for row in range(rows):
        label = sorted(told)[(row * 7) % 3]
        filling = [words[(row * 5 + place * 3) % len(words)] for place in range(2 + row % 18)]
        filling.insert(row % len(filling), told[label])
        texts.append(" ".join(filling))
        labels.append(label)
    return {"text": texts, "label": labels}


def job_of(
    directory: Path, task: str, start: str, data: Mapping[str, Any], **rest: Any
) -> TrainJob:
    """A job of these settings, as loaded from a file."""
    settings = {
        "task": task,
        "model": {"path": start, **rest.pop("model", {})},
        "data": dict(data),
        "training": {**QUIET, **rest.pop("training", {})},
        "output": {"path": str(directory / "model")},
        **rest,
    }
    path = directory / "job.yaml"
    path.write_text(json.dumps(settings))

    def options(name: str) -> Any:
        return plugins.load_class("labelmill.tasks", name).Options

    return load_as(TrainJob, str(path), options_class=options)


def ready(job: TrainJob, workers: int = 1, gpus: float = 0.0) -> Ready:
    """The recipe of a job, its data read; `gpus` are those of a worker."""
    group = Group(workers=workers, gpus=gpus, cpus=1, max_failures=0)
    return finetune.prepare(make_plan(job, lambda: group), print)


class Desk:
    """A seat whose checkpoints lie in a directory, numbered as they came."""

    def __init__(self, directory: Path, rank: int = 0, stop_at: int | None = None) -> None:
        self.scratch = directory / "scratch"
        self.kept = directory / "kept"
        self.scores: list[float | None] = []
        self.standings: list[Standing] = []
        self._rank = rank
        self._stop_at = stop_at

    def resume(self) -> Path | None:
        found = sorted(self.kept.glob("*"), key=lambda path: int(path.name))
        return found[-1] if found else None

    def keep(self, directory: Path, score: float | None) -> None:
        self.scores.append(score)
        if self._rank == 0:
            shutil.copytree(directory, self.kept / directory.name.rpartition("-")[2])

    def show(self, standing: Standing) -> bool:
        self.standings.append(standing)
        return self._stop_at is not None and standing.step >= self._stop_at


def state_of(desk: Desk) -> dict[str, Any]:
    """What transformers wrote of the last checkpoint."""
    last = desk.resume()
    assert last is not None
    return json.loads((last / "trainer_state.json").read_text())


def weights_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint by name."""
    from safetensors.torch import load_file

    return load_file(checkpoint / "model.safetensors")


def losses_of(desk: Desk) -> list[float]:
    """The loss of each step."""
    return [entry["loss"] for entry in state_of(desk)["log_history"] if "loss" in entry]


def evaluated(desk: Desk) -> list[dict[str, Any]]:
    """The metrics of each evaluation, with what else is told of it."""
    return [entry for entry in state_of(desk)["log_history"] if "eval_loss" in entry]


def tagged(rows: int) -> dict[str, list[Any]]:
    """The words of `reviews`; those of more than four letters are entities."""
    words = [text.split() for text in reviews(rows)["text"]]
    tags = [["B-A" if len(word) > 4 else "O" for word in row] for row in words]
    return {"words": words, "tags": tags}


def train_together(recipe: TrainRecipe, directory: Path, workers: int) -> Desk:
    """Train by so many processes that exchange gradients through gloo."""
    gloo.together(_train, recipe, directory, workers=workers)
    return Desk(directory)


def _train(rank: int, recipe: TrainRecipe, directory: Path) -> None:
    train(recipe, Desk(directory, rank))
