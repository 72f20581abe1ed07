"""Processor: the tokenizer, image processor or feature extractor of a recipe, once a process."""

import functools
from typing import Any

from labelmill import checkpoints
from labelmill.checkpoints import Checkpoint
from labelmill.ops import plugins
from labelmill.plan.recipe import Recipe


def processor_of(recipe: Recipe) -> Any:
    """What the task's `encode`, `readout` and `decode` get as the processor."""
    if recipe.tokenizer is not None:
        return recipe.tokenizer
    kind = plugins.load_class("labelmill.tasks", recipe.task).processor
    return _loaded(recipe.checkpoint, kind)


@functools.lru_cache(maxsize=2)
def _loaded(checkpoint: Checkpoint, kind: str) -> Any:
    return checkpoints.processor(checkpoint, kind)
