"""Processor: the tokenizer, image processor or feature extractor of a recipe."""

from typing import Any

from labelmill import checkpoints
from labelmill.ops import plugins
from labelmill.plan.recipe import Recipe


def processor_of(recipe: Recipe) -> Any:
    """What the task's `encode`, `readout` and `decode` get as the processor."""
    if recipe.tokenizer is not None:
        return recipe.tokenizer
    kind = plugins.load_class("labelmill.tasks", recipe.task).processor
    return checkpoints.processor(recipe.checkpoint, kind)
