"""The pipeline: source, tokenize, predict, write: one Ray dataset whose rows are whole splits.

It tells what happens as events and prints nothing. It promises that a stop asked for ends the job
after the splits in prediction, that retries of a split are bounded, and that an error of ours comes
out as it was raised on the worker. What is committed is the ledger's to know.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray
import ray.data

from labelmill.errors import EngineError, LabelmillError
from labelmill.ledger.receipt import Receipt
from labelmill.pipeline.forgetting import Forgetting
from labelmill.pipeline.session import replica_cpus
from labelmill.pipeline.shape import Shape
from labelmill.plan.recipe import Recipe
from labelmill.stages.board import Notices, RemoteBoard
from labelmill.stages.parcel import Parcel
from labelmill.stages.predict import Replica
from labelmill.stages.read import ReadWork, ShardSource
from labelmill.stages.tokenize import tokenize
from labelmill.stages.write import write

READ_TASKS = (
    2000  # Ray starts one object a read task: seconds for thousands, so small shards share one
)
# Logical CPUs of a task. All alike and well below one, so that each finds room beside replicas on a
# node of one core: a tokenizer that asks for a whole core would wait there for ever.
_LIGHT = 0.25
_LOADINGS = 3  # deaths of one replica while it loads the model, until the job is given up
_RAYS_ADVICE = "\nFailed to apply UDF transform"  # Ray appends it to the message of an error
_TICK = 0.5  # seconds between two looks at the board


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A part and its receipt are in their places."""

    receipt: Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """Rows and tokens predicted in splits that are not committed yet."""

    rows: int
    tokens: int


Event = Committed | Progressed


def run(
    recipe: Recipe,
    works: Sequence[ReadWork],
    shape: Shape,
    stopping: Callable[[], bool],
    *,
    check: bool,
) -> Iterator[Event]:
    """Label the pending splits; yields events until all are committed or the stop has taken effect.

    With `check` the first split that is predicted is compared with float32. Raises whatever a
    worker raised, unwrapped where it is one of ours.
    """
    board = RemoteBoard.create(check=check)
    dataset = build(recipe, works, shape, board)
    receipts = _Receipts(dataset)
    stopped = False
    while not receipts.ended:
        if not stopped and stopping():
            board.stop()
            stopped = True
        arrived = receipts.take(_TICK)
        board.forget([receipt.split.id for receipt in arrived])
        yield from (Committed(receipt=receipt) for receipt in arrived)
        posts = board.in_flight().values()
        yield Progressed(
            rows=sum(rows for rows, _ in posts), tokens=sum(tokens for _, tokens in posts)
        )


def build(
    recipe: Recipe, works: Sequence[ReadWork], shape: Shape, board: Notices
) -> ray.data.Dataset:
    """The sentence: source, tokenize, predict, write."""
    groups = grouped(works)
    source = ShardSource(groups, recipe, board)
    _set_up_ray_data()
    dataset: ray.data.Dataset = (
        ray.data.read_datasource(
            source,
            override_num_blocks=len(groups),
            num_cpus=_LIGHT,
            concurrency=shape.readers,
        )
        .map_batches(
            _tokenize,
            fn_args=(recipe, board),
            num_cpus=_LIGHT,
            compute=ray.data.TaskPoolStrategy(size=shape.tokenizers),
            **_WHOLE,
        )
        .map_batches(
            _Predict,
            fn_constructor_args=(recipe, board),
            compute=ray.data.ActorPoolStrategy(
                size=shape.replicas, max_tasks_in_flight_per_actor=shape.in_flight
            ),
            num_gpus=shape.gpus_per_replica,
            num_cpus=replica_cpus(shape.gpus_per_replica),
            udf_modifying_row_count=False,
            # A death counts against every block that waits at the actor; splits have bounds of
            # their own (`stages.predict`).
            max_restarts=-1,
            max_task_retries=-1,
            **_WHOLE,
        )
        .map_batches(_write, fn_args=(recipe,), num_cpus=_LIGHT, **_WHOLE)
    )
    return dataset


# One row a call; an int batch size also keeps Ray from fusing a stage with the read, on one core.
_WHOLE: dict[str, Any] = {"batch_size": 1, "batch_format": "pyarrow"}


def grouped(works: Sequence[ReadWork]) -> list[list[ReadWork]]:
    """Largest shards first, small ones together where there are more than READ_TASKS."""
    ordered = sorted(works, key=lambda work: (-work.shard.size, work.shard.path))
    if len(ordered) <= READ_TASKS:
        return [[work] for work in ordered]
    fair = sum(work.shard.size for work in ordered) / READ_TASKS
    groups: list[list[ReadWork]] = [[]]
    held = 0
    for work in ordered:
        if groups[-1] and held + work.shard.size > fair:
            groups.append([])
            held = 0
        groups[-1].append(work)
        held += work.shard.size
    return groups


def _set_up_ray_data() -> None:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Ray glues rows to blocks up to this size, and a block goes to one replica as a whole: a file
    # of a few MiB would keep one replica busy and the others idle. So a block is one split.
    context.target_max_block_size = 1
    # A split may take minutes; the driver watches progress itself.
    context.execution_no_progress_timeout_s = -1
    # Wrapped in Ray Data's own exception, ours would reach the driver as text.
    context.raise_original_map_exception = True
    if Forgetting not in context.custom_execution_callback_classes:
        context.custom_execution_callback_classes.append(Forgetting)


def _tokenize(block: pa.Table, recipe: Recipe, board: Notices) -> pa.Table:
    return tokenize(Parcel.from_block(block), recipe, board).to_block()


class _Predict:
    def __init__(self, recipe: Recipe, board: Notices) -> None:
        # An error in an actor's constructor reaches the driver as text; one in a call as itself.
        self._failure: Exception | None = None
        me = f"loading {ray.get_runtime_context().get_actor_id()}"  # the same after a death
        deaths = board.begin(me).begun
        if deaths >= _LOADINGS:
            self._failure = _deadly(deaths)
            return
        try:
            self._replica = Replica(recipe, board)
        except Exception as error:  # noqa: BLE001 - raised in the first call
            self._failure = error
        board.end(me)

    def __call__(self, block: pa.Table) -> pa.Table:
        if self._failure is not None:
            raise self._failure
        return self._replica.predict(Parcel.from_block(block)).to_block()


def _deadly(deaths: int) -> EngineError:
    return EngineError(
        f"a replica's process died {deaths} times while it loaded the model; most often memory "
        "runs out: lower resources.replicas and run the same command again"
    )


def _write(block: pa.Table, recipe: Recipe) -> pa.Table:
    receipt = write(Parcel.from_block(block), recipe)
    return pa.table(
        {"receipt": pa.array([None if receipt is None else receipt.to_json()], pa.binary())}
    )


class _Receipts:
    """The dataset's rows as they come, taken by a thread so that the driver may look up."""

    def __init__(self, dataset: ray.data.Dataset) -> None:
        self._arrived: queue.SimpleQueue[Receipt | BaseException | None] = queue.SimpleQueue()
        self.ended = False
        threading.Thread(target=self._drain, args=(dataset,), daemon=True).start()

    def take(self, seconds: float) -> list[Receipt]:
        """What arrives within so many seconds; raises what the dataset raised."""
        until = time.monotonic() + seconds
        taken: list[Receipt] = []
        while not self.ended and (left := until - time.monotonic()) > 0:
            try:
                item = self._arrived.get(timeout=left)
            except queue.Empty:
                break
            if isinstance(item, BaseException):
                raise _unwrapped(item)
            if item is None:
                self.ended = True
            else:
                taken.append(item)
        return taken

    def _drain(self, dataset: ray.data.Dataset) -> None:
        try:
            batches: Iterable[pa.Table] = dataset.iter_batches(
                batch_size=None, batch_format="pyarrow"
            )
            for batch in batches:
                for data in batch["receipt"].drop_null().to_pylist():
                    self._arrived.put(Receipt.from_json(data))
        except BaseException as error:  # noqa: BLE001 - handed to the driver's thread, which raises it
            self._arrived.put(error)
        self._arrived.put(None)


def _unwrapped(error: BaseException) -> BaseException:
    """Our own error out of Ray's wrappings; a replica that keeps dying as an EngineError."""
    seen: BaseException | None = error
    while seen is not None:
        # Ray's wrapping is of our class too, with a whole traceback for its message.
        if isinstance(seen, LabelmillError) and not isinstance(seen, ray.exceptions.RayTaskError):
            return type(seen)(str(seen).partition(_RAYS_ADVICE)[0])
        seen = getattr(seen, "cause", None) or seen.__cause__
    if isinstance(error, ray.exceptions.ActorDiedError | ray.exceptions.ActorUnavailableError):
        return EngineError(f"a replica died again and again: {error}")
    return error
