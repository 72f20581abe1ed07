"""Results: what a finished training has to tell, for people and for programs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmill.config.train_job import TrainJob
from labelmill.training.checkpointing import STATE
from labelmill.training.manifest import Data
from labelmill.training.ray_group import Kept
from labelmill.training.recipe import TrainRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Papers:
    """What results are made of."""

    job: TrainJob
    recipe: TrainRecipe
    data: Data
    kept: Kept
    place: Path

    def files(self, told: dict[str, Any]) -> dict[str, bytes]:
        """More files of the result by name: the card, and the page."""
        del told
        return {}


def results(papers: Papers) -> dict[str, Any]:
    """Metrics of the checkpoint that became the result, and the course of the training."""
    best, last = _state(papers.kept.best), _state(papers.kept.last)
    history = last["log_history"]
    measured = [entry for entry in history if "eval_loss" in entry]
    mine = [entry for entry in measured if entry["step"] == best["global_step"]]
    metrics = mine[-1] if mine else {}
    return {
        "task": papers.job.task,
        "model": papers.recipe.model.checkpoint.source,
        "path": str(papers.place),
        "steps": last["global_step"],
        "best_step": best["global_step"],
        "epochs": last["epoch"],
        "metric": papers.recipe.metric,
        "metrics": {
            name.removeprefix("eval_"): value
            for name, value in metrics.items()
            if name.startswith("eval_") and not name.endswith(("_second", "_runtime"))
        },
        "history": history,
    }


def _state(checkpoint: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((checkpoint / STATE).read_text("utf-8"))
    return told
