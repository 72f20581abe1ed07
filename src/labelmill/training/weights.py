"""Weights: how much each label counts in the loss, where rare ones are to count as common ones.

And for which losses a label may count as a little of every other.
"""

import numpy as np

from labelmill.config.training import TrainingSection
from labelmill.errors import ConfigError
from labelmill.learning import Objective
from labelmill.training.manifest import Data

_ABLE: tuple[Objective, ...] = ("classes", "label_sets")
_SMOOTHED: tuple[Objective, ...] = ("classes", "tags", "written", "next_token")


def refuse_smoothing(section: TrainingSection, objective: Objective) -> None:
    """Raise ConfigError for label smoothing where the loss is not of one label among others."""
    if section.others.get("label_smoothing_factor") and objective not in _SMOOTHED:
        raise ConfigError(
            f"training.label_smoothing_factor: it is for labels that exclude each other, and this "
            f"task learns {objective!r}; remove it"
        )


def refuse(wish: str, objective: Objective) -> None:
    """Raise ConfigError for weights where what is learned is no label of a whole row."""
    if wish != "none" and objective not in _ABLE:
        raise ConfigError(
            f"data.class_weights: {wish!r} is for labels of whole rows, and this task learns "
            f"{objective!r}; remove it"
        )


def of(wish: str, objective: Objective, data: Data) -> tuple[float, ...]:
    """The weight of each label; () where all count alike.

    Balanced is n / (labels * count), as scikit-learn has it: the mean over all rows is 1. Of labels
    that do not exclude each other it is how many rows lack a label for each that has it. Both count
    rows: a text counts once, in however many windows it is read.
    """
    if wish == "none":
        return ()
    refuse(wish, objective)
    counts = np.array([data.counts.get(label, 0) for label in data.labels], np.float64)
    present = np.maximum(counts, 1)
    if objective == "label_sets":
        given = np.maximum(data.train_rows - counts, 1) / present
    else:
        given = counts.sum() / (np.count_nonzero(counts) * present)
    return tuple(float(weight) for weight in given)
