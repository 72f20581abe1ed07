"""Recipe: everything that a worker must know of a training, frozen when it starts.

It travels to every process, so it is small and picklable; the rows themselves lie in files of
examples on a disk that all workers share.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labelmill.batch import ModelFacts
from labelmill.checkpoints import Checkpoint
from labelmill.config.section import Section
from labelmill.config.training import LoraSection
from labelmill.learning import Objective
from labelmill.readouts import Readout


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecipe:
    """How the model is made that is trained."""

    checkpoint: Checkpoint
    auto_class: str
    # Labels and problem type of a new head; () leaves the checkpoint's own.
    labels: tuple[str, ...]
    problem_type: str | None
    config: Mapping[str, Any]  # settings laid over those of config.json
    lora: LoraSection | None
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRecipe:
    """The training as its workers see it."""

    task: str
    options: Section
    facts: ModelFacts  # with the labels of the trained model
    model: ModelRecipe
    objective: Objective
    arguments: Mapping[str, Any]  # of TrainingArguments, checked
    weights: tuple[float, ...]  # of labels in the loss; () counts all alike
    metric: str  # best when highest, or "loss"
    best: bool  # the result is the best checkpoint, not the last
    patience: int | None  # evaluations without a better metric until training stops
    examples: str  # file of examples to learn from
    validation: str | None  # the same to measure by
    board: str  # directory for TensorBoard
    # What is read of the model where its loss or its answers need more than its forward pass.
    readout: Readout | None
    grouped: bool  # examples of like length share a step
    shuffled: bool
    gold: str | None = None  # file of rows to label and compare when measuring
