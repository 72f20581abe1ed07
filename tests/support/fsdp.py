"""FSDP on CPUs: real shards of a model, which workers exchange through gloo.

torch can do it, and accelerate passes it over without a word: it shards where there are GPUs. So in
these processes CPUs count among the devices for which it does; the rest is as on GPUs.
"""

import dataclasses
from pathlib import Path

import accelerate.state
from accelerate import DistributedType
from accelerate.state import AcceleratorState

from labelmill.training.loop import train
from labelmill.training.recipe import TrainRecipe
from tests.support import gloo
from tests.support.training import Desk


def train_sharded(recipe: TrainRecipe, directory: Path, stop_at: int | None = None) -> Desk:
    """Train the recipe, with `fsdp` on, by two workers; the desk that they leave."""
    arguments = {**recipe.arguments, "fsdp": True}
    sharded = dataclasses.replace(recipe, arguments=arguments)
    gloo.together(_train, sharded, directory, stop_at, workers=2)
    return Desk(directory)


class _Types:
    """The kinds of devices, where CPUs stand in for one kind that has FSDP."""

    MULTI_NEURON = DistributedType.MULTI_CPU

    def __getattr__(self, name: str) -> DistributedType:
        return DistributedType[name]


def _train(rank: int, recipe: TrainRecipe, directory: Path, stop_at: int | None) -> None:
    vars(accelerate.state)["DistributedType"] = _Types()
    train(recipe, Desk(directory, rank, stop_at))
    assert AcceleratorState().distributed_type == DistributedType.FSDP
