"""State: what a training keeps beside its result, and what of it goes once the result is there.

A directory of the result's name with '.training' at its end. Encoded rows and checkpoints are
large, and of no more use: a finished training is never gone on with.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from labelmill.training.preparing import Places
from labelmill.training.ray_group import CHECKPOINTS


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where everything lies."""

    path: Path

    @classmethod
    def beside(cls, result: Path) -> "State":
        """That of the training whose result is to be there."""
        return cls(path=result.with_name(f"{result.name}.training"))

    @property
    def manifest(self) -> Path:
        """See `manifest`; it is there once the data have been read."""
        return self.path / "training.json"

    @property
    def board(self) -> Path:
        """Directory of TensorBoard's files."""
        return self.path / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        """Directory of Ray Train's."""
        return self.path / CHECKPOINTS

    def places(self, *, labelled: bool) -> Places:
        """Where the rows lie as workers read them."""
        folder = self.path / "examples"
        return Places(
            train=folder / "train.arrow",
            validation=folder / "validation.arrow",
            rejects=folder / "rejects.jsonl",
            gold=folder / "gold.arrow" if labelled else None,
        )

    def tidy(self, *, checkpoints: bool) -> None:
        """Delete the encoded rows, and the checkpoints where they are not wanted."""
        places = self.places(labelled=True)
        for path in (places.train, places.validation, places.gold):
            if path is not None:
                path.unlink(missing_ok=True)
        if not checkpoints:
            shutil.rmtree(self.checkpoints, ignore_errors=True)
