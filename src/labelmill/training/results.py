"""Results: what a finished training has to tell, as plain values: for its file, card and page."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import transformers

import labelmill
from labelmill.config.train_job import TrainJob
from labelmill.masking import masked
from labelmill.ops import plugins
from labelmill.ops.fields import flat
from labelmill.training.checkpointing import STATE
from labelmill.training.judging import judge
from labelmill.training.manifest import TrainManifest
from labelmill.training.ray_group import Group, Kept
from labelmill.training.recipe import TrainRecipe

_TIMED = ("_second", "_runtime")


def results(
    job: TrainJob, recipe: TrainRecipe, manifest: TrainManifest, kept: Kept, group: Group
) -> dict[str, Any]:
    """Identity, data, metrics of the checkpoint that became the result, and the whole course."""
    best, last = _state(kept.best), _state(kept.last)
    history = [_plain(entry) for entry in last["log_history"]]
    fields = {one.name for one in flat(plugins.load_class("labelmill.tasks", job.task).fields)}
    return {
        "task": job.task,
        "model": masked(recipe.model.checkpoint.source),
        "revision": recipe.model.checkpoint.revision,
        "model_digest": recipe.model.checkpoint.digest,
        "fingerprint": manifest.fingerprint,
        "labelmill": labelmill.__version__,
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "columns": {name: column for name, column in job.data.columns.items() if name in fields},
        "options": job.options.model_dump(mode="json", exclude_defaults=True),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "workers": group.workers,
        "device": group.device,
        "precision": computed_in(recipe.arguments),
        "objective": recipe.objective,
        "steps": last["global_step"],
        "best_step": best["global_step"],
        "epochs": last["epoch"],
        "metric": recipe.metric,
        "metrics": _metrics(history, best["global_step"]),
        "judged": judge(kept.best, recipe),
        "data": asdict(manifest.data),
        "settings": dict(manifest.settings),
        "history": history,
    }


def computed_in(arguments: Mapping[str, Any]) -> str:
    """What TrainingArguments compute in; weights are in float32 whatever it is."""
    if arguments.get("fp16"):
        return "float16"
    return "bfloat16" if arguments["bf16"] else "float32"


def _metrics(history: list[dict[str, Any]], step: int) -> dict[str, float]:
    """Of the last evaluation at the step, without what tells of time."""
    measured = [one for one in history if one["step"] == step and "eval_loss" in one]
    return {
        name.removeprefix("eval_"): value
        for name, value in (measured[-1] if measured else {}).items()
        if name.startswith("eval_") and not name.endswith(_TIMED)
    }


def _plain(entry: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON has it: no number that is not finite."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in entry.items()
    }


def _state(checkpoint: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((checkpoint / STATE).read_text("utf-8"))
    return told
