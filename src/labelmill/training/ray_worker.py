"""Ray worker: a worker of Ray Train sits down and trains."""

import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import ray
import ray.train
import torch

from labelmill.errors import EngineError, LabelmillError
from labelmill.storage import is_local, upload
from labelmill.training.loop import train
from labelmill.training.nearby import BOARD, nearby
from labelmill.training.recipe import TrainRecipe
from labelmill.training.seat import Standing

SCORE = "score"  # metric by which Ray keeps checkpoints
_HEAD = 2000  # characters of an error that are told


def work(config: dict[str, Any]) -> bool:
    """The function that Ray Train runs on each worker; whether the training came to its end."""
    recipe: TrainRecipe = config["recipe"]
    board = config["board"]
    if ray.get(board.failure.remote()) is not None:
        return False
    torch.set_num_threads(config["threads"])
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with RaySeat(config["name"], board, recipe.board) as seat:
        try:
            ended = train(nearby(recipe, seat.scratch, seat.first_here), seat)
            seat.publish()
        except Exception as error:
            final = _final(error)
            if final is not None:
                ray.get(board.fail.remote(final))
            raise
    return ended


class RaySeat:
    """See Seat; a context that leaves nothing on its machine."""

    def __init__(self, name: str, board: Any, curves: str) -> None:
        self._context = ray.train.get_context()
        self._board = board
        self._curves = curves
        self._held = ExitStack()
        # The same for all workers of one machine: together they write one checkpoint.
        self.scratch = Path(tempfile.gettempdir()) / f"labelmill-{name}"

    def __enter__(self) -> Self:
        self.scratch.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()
        if self.first_here:
            shutil.rmtree(self.scratch, ignore_errors=True)

    @property
    def first_here(self) -> bool:
        """Whether this worker is the first one of its machine."""
        return bool(self._context.get_local_rank() == 0)

    def resume(self) -> Path | None:
        """See Seat."""
        checkpoint = ray.train.get_checkpoint()
        if checkpoint is None:
            return None
        return Path(self._held.enter_context(checkpoint.as_directory()))

    def keep(self, directory: Path, score: float | None) -> None:
        """See Seat: each machine hands in what it has; Ray knows the checkpoint when all have."""
        checkpoint = (
            ray.train.Checkpoint.from_directory(str(directory)) if self.first_here else None
        )
        ray.train.report({} if score is None else {SCORE: score}, checkpoint=checkpoint)
        self.publish()

    def publish(self) -> None:
        """Put TensorBoard's files where the state lies, if that is behind a URL."""
        if not is_local(self._curves) and self._context.get_world_rank() == 0:
            upload(self.scratch / BOARD, self._curves)

    def show(self, standing: Standing) -> bool:
        """See Seat."""
        return bool(ray.get(self._board.show.remote(standing)))


def _final(error: Exception) -> Exception | None:
    """What the driver is to be told of an error that would come again; None where it may not.

    Where one of several workers dies, the others fail in the middle of an exchange.
    """
    if isinstance(error, LabelmillError):
        return error
    if ray.train.get_context().get_world_size() > 1 and isinstance(error, RuntimeError):
        return None
    return EngineError(f"training failed on a worker: {type(error).__name__}: {error!s:.{_HEAD}}")
