"""Seat: what a worker of a training must ask of whoever runs it.

The loop knows no Ray: on one process it runs as it is, and a test can sit anywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a training is."""

    step: int
    steps: int  # in all
    epoch: float
    examples_per_second: float
    seconds_left: float | None
    loss: float | None = None
    learning_rate: float | None = None
    metrics: Mapping[str, float] | None = None  # of the last evaluation
    tokens_per_second: float | None = None


class Seat(Protocol):
    """A place in a group of workers that train together."""

    scratch: Path  # a directory of this worker's machine, for the time of the training

    def resume(self) -> Path | None:
        """A directory with the last whole checkpoint; None where there is none."""
        ...

    def keep(self, directory: Path, score: float | None) -> None:
        """Keep a checkpoint that all workers have written; called by all of them.

        `directory` holds what this machine has of it, and may be gone afterwards.
        """
        ...

    def show(self, standing: Standing) -> bool:
        """Tell how far the training is; whether it is to stop. Called by the first worker."""
        ...
