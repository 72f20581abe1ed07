"""Ray group: workers that train together, watched from the driver.

Ray Train starts them, starts them anew where one dies, and keeps their checkpoints; started again
over the same directory it goes on from the last one.
"""

import functools
import logging
import os
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.train import (
    CheckpointConfig,
    FailureConfig,
    Result,
    RunConfig,
    ScalingConfig,
    TrainingFailedError,
)
from ray.train.torch import TorchTrainer

from labelmill.config.train_job import WorkersSection
from labelmill.errors import ConfigError, EngineError, LabelmillError, UnfinishedRun
from labelmill.storage import download, is_local, join, open_filesystem
from labelmill.training import board as boards
from labelmill.training.checkpointing import STATE
from labelmill.training.preparing import Wished
from labelmill.training.ray_worker import SCORE, work
from labelmill.training.recipe import TrainRecipe
from labelmill.training.seat import Standing

CHECKPOINTS = "checkpoints"
_OPTIMIZER = "optimizer"  # how the name of its file begins
_POLL = 0.3  # seconds
_HEAD = 300  # characters of an error that are told
_MEMORY = "most often memory runs out: lower training.per_device_train_batch_size"

Show = Callable[[Standing], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """How many workers, and what each has."""

    workers: int
    gpus: float  # of each
    cpus: int  # of each
    max_failures: int

    @property
    def device(self) -> str:
        """What they train on."""
        return "cuda" if self.gpus else "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is left of a training that came to its end, on this machine."""

    last: Path
    best: Path  # the last one where nothing was measured


def group(section: WorkersSection, *, nodes: int, cpus: float, gpus: float) -> Group:
    """The workers that the job asks for; raises ConfigError where there is no room for them."""
    wanted = section.gpus_per_worker
    each = float(gpus >= 1) if wanted == "auto" else float(wanted)
    workers = _workers(section, gpus, each)
    beside = max(1, -(-workers // nodes))  # on one machine
    share = max(1, int(cpus / nodes) // beside)
    cores = share if section.cpus_per_worker == "auto" else int(section.cpus_per_worker)
    if workers * each > gpus or workers * cores > cpus:
        raise ConfigError(
            f"resources: {workers} workers with {each:g} GPUs and {cores} CPU cores each, but "
            f"there are {gpus:g} GPUs and {cpus:g} cores; lower resources.workers or what each has"
        )
    return Group(workers=workers, gpus=each, cpus=cores, max_failures=section.max_failures)


def _workers(section: WorkersSection, gpus: float, each: float) -> int:
    if section.workers != "auto":
        return int(section.workers)
    return max(1, int(gpus // each)) if each else 1


def run(
    recipe: TrainRecipe, group: Group, state: str, *, room: Path, show: Show, wished: Wished
) -> Kept:
    """Train to the end; raises UnfinishedRun where it was stopped, and what the workers raised.

    Checkpoints lie below `state`. What is kept of those behind a URL is fetched into `room`.
    """
    board = boards.put_up()
    trainer = _trainer(recipe, group, state, board)
    fitting = _Fitting(trainer)
    asked = False
    while not fitting.wait(_POLL):
        standing: Standing | None = ray.get(board.standing.remote())
        if standing is not None:
            show(standing)
        if wished() and not asked:
            asked = True
            ray.get(board.stop.remote())
    failure: Exception | None = ray.get(board.failure.remote())
    if failure is not None:
        raise failure
    result = fitting.result()
    if getattr(result, "return_value", None) is False:  # Ray's types know it not
        raise UnfinishedRun("stopped with a checkpoint; run the same command again to go on")
    return _kept(result, recipe, _Fetching(join(state, CHECKPOINTS), room))


def _trainer(recipe: TrainRecipe, group: Group, state: str, board: Any) -> TorchTrainer:
    _set_up()
    config = {
        "recipe": recipe,
        "board": board,
        "threads": group.cpus,
        "name": uuid.uuid4().hex,
    }
    function: Any = work
    return TorchTrainer(
        function,
        train_loop_config=config,
        scaling_config=ScalingConfig(
            num_workers=group.workers,
            use_gpu=group.gpus > 0,
            resources_per_worker={"CPU": group.cpus} | ({"GPU": group.gpus} if group.gpus else {}),
        ),
        run_config=RunConfig(
            name=CHECKPOINTS,
            **_storage(state),
            failure_config=FailureConfig(max_failures=group.max_failures),
            checkpoint_config=CheckpointConfig(
                num_to_keep=recipe.arguments["save_total_limit"],
                checkpoint_score_attribute=SCORE if recipe.validation else None,
            ),
        ),
    )


def _storage(state: str) -> dict[str, Any]:
    """Ray's settings for where checkpoints lie: by our own way to what is behind a URL."""
    if is_local(state):
        return {"storage_path": state}
    filesystem, path = open_filesystem(state)
    return {"storage_path": path, "storage_filesystem": filesystem}


def _set_up() -> None:
    """What Ray Train reads when it is started, and what it would print."""
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "2")
    # The workers' paths are absolute, and Ray's directory is on a store that may be slow.
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
    logging.getLogger("ray.train").setLevel(logging.CRITICAL)


class _Fitting:
    """Ray's `fit` on a thread: the driver's own is for signals and for what a person sees."""

    def __init__(self, trainer: TorchTrainer) -> None:
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=functools.partial(self._fit, trainer), daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within so many seconds."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def result(self) -> Result:
        """What it gave; raises what it raised, as one of ours."""
        if self._error is not None:
            raise _unwrapped(self._error)
        if self._result is None:
            raise EngineError("training ended without a result")
        return self._result

    def _fit(self, trainer: TorchTrainer) -> None:
        try:
            self._result = trainer.fit()
        except BaseException as error:  # noqa: BLE001 - raised on the driver's own thread
            self._error = error


def _unwrapped(error: BaseException) -> BaseException:
    """An error of ours out of Ray's wrappings, or why workers died, in one line."""
    failures = getattr(error, "worker_failures", None) or {}
    for failure in failures.values():
        seen: BaseException | None = failure
        while seen is not None:
            if isinstance(seen, LabelmillError):
                return type(seen)(str(seen))
            seen = getattr(seen, "cause", None) or seen.__cause__
    if failures:
        said = f"workers failed more often than resources.max_failures allows: {_told(failures)}"
    elif isinstance(error, TrainingFailedError):
        said = f"Ray ended the training: {_line(getattr(error, 'controller_failure', error))}"
    else:
        return error
    return EngineError(f"{said}; running the same command again goes on from the last checkpoint")


def _told(failures: Mapping[int, BaseException]) -> str:
    """Of a worker that died, else of what one raised: see `ray_worker._final`."""
    for rank, failure in failures.items():
        if not isinstance(failure, RuntimeError):
            (*_, last) = str(failure).strip().splitlines() or [""]
            return f"worker {rank} died: {last}; {_MEMORY}"
    rank, failure = next(iter(failures.items()))
    kind = type(failure).__name__
    return f"worker {rank}: {kind}: {_line(failure)}; if it has lost another, {_MEMORY}"


def _line(error: BaseException) -> str:
    """The head of what it says, in one line."""
    return f"{' '.join(str(error).split()):.{_HEAD}}"


class _Fetching:
    """Checkpoints of Ray's directory by name, on this machine."""

    def __init__(self, directory: str, room: Path) -> None:
        self._directory = directory
        self._room = room

    def model(self, name: str) -> Path:
        """With all that a result is made of, which the state of an optimizer is not."""
        return self._at(name, lambda file: not file.startswith(_OPTIMIZER))

    def course(self, name: str) -> Path:
        """With what it says of the training up to there."""
        return self._at(name, lambda file: file == STATE)

    def _at(self, name: str, wanted: Callable[[str], bool]) -> Path:
        if is_local(self._directory):
            return Path(self._directory, name)
        place = self._room / name
        if not place.exists():
            download(join(self._directory, name), place, wanted)
        return place


def _kept(result: Result, recipe: TrainRecipe, fetching: _Fetching) -> Kept:
    if result.checkpoint is None:
        raise EngineError("training ended without a checkpoint; see training.save_strategy")
    last = best = _name(result.checkpoint.path)
    scored = [
        (metrics[SCORE], _name(checkpoint.path))
        for checkpoint, metrics in result.best_checkpoints or []
        if SCORE in metrics
    ]
    if scored and recipe.best:
        best = max(scored, key=lambda one: one[0])[1]
    return Kept(best=fetching.model(best), last=fetching.course(last))


def _name(path: str) -> str:
    return path.rpartition("/")[2]
