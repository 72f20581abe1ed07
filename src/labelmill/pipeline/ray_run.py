"""The pipeline: source, tokenize, predict, write: one Ray dataset whose rows are whole splits.

It tells what happens as events and prints nothing. It promises that a stop asked for ends the job
after the splits in prediction, that retries of a split are bounded, and that an error of ours comes
out as it was raised on the worker. What is committed is the ledger's to know.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

import pyarrow as pa
import ray
import ray.data

from labelmill.errors import EngineError, LabelmillError
from labelmill.ledger.receipt import Receipt
from labelmill.pipeline.cluster import Cluster
from labelmill.pipeline.events import Arrivals, Event, followed
from labelmill.pipeline.ray_board import RemoteBoard
from labelmill.pipeline.ray_forgetting import Forgetting
from labelmill.pipeline.ray_session import on_replica, replica_cpus
from labelmill.pipeline.ray_source import ShardSource, grouped
from labelmill.pipeline.runner import Answer, Stopping
from labelmill.pipeline.shape import Shape
from labelmill.plan.recipe import Recipe
from labelmill.stages.board import Notices
from labelmill.stages.parcel import Parcel
from labelmill.stages.predict import Replica, allow_loading
from labelmill.stages.read import ReadWork
from labelmill.stages.tokenize import tokenize
from labelmill.stages.write import write

# Logical CPUs of a task. All alike and well below one, so that each finds room beside replicas on a
# node of one core: a tokenizer that asks for a whole core would wait there for ever.
_LIGHT = 0.25
_RAYS_ADVICE = "\nFailed to apply UDF transform"  # Ray appends it to the message of an error


class RayRunner:
    """See Runner."""

    name = "ray"

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def ask(self, question: Callable[[], Answer], *, gpus: float) -> Answer:
        """See Runner; one machine is this one."""
        return question() if self.cluster.nodes == 1 else on_replica(question, gpus=gpus)

    def run(
        self,
        recipe: Recipe,
        works: Sequence[ReadWork],
        shape: Shape,
        stopping: Stopping,
    ) -> Generator[Event, None, None]:
        """See Runner; an error of ours comes unwrapped."""
        board = RemoteBoard.create()
        arrivals = Arrivals()
        dataset = build(recipe, works, shape, board)
        # A thread takes what comes, so that the driver may look up.
        threading.Thread(target=_drain, args=(dataset, arrivals), daemon=True).start()
        yield from followed(arrivals, board, stopping)


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
    def __init__(self, recipe: Recipe, board: RemoteBoard) -> None:
        # An error in an actor's constructor reaches the driver as text; one in a call as itself.
        self._failure: Exception | None = None
        me = str(ray.get_runtime_context().get_actor_id())  # the same after a death
        try:
            allow_loading(board.load(me))
        except EngineError as error:
            self._failure = error
            return
        try:
            self._replica = Replica(recipe, board)
        except Exception as error:  # noqa: BLE001 - raised in the first call
            self._failure = error
        board.loaded(me)

    def __call__(self, block: pa.Table) -> pa.Table:
        if self._failure is not None:
            raise self._failure
        return self._replica.predict(Parcel.from_block(block)).to_block()


def _write(block: pa.Table, recipe: Recipe) -> pa.Table:
    receipt = write(Parcel.from_block(block), recipe)
    return pa.table(
        {"receipt": pa.array([None if receipt is None else receipt.to_json()], pa.binary())}
    )


def _drain(dataset: ray.data.Dataset, arrivals: Arrivals) -> None:
    """The dataset's rows as they come."""
    try:
        batches: Iterable[pa.Table] = dataset.iter_batches(batch_size=None, batch_format="pyarrow")
        for batch in batches:
            for data in batch["receipt"].drop_null().to_pylist():
                arrivals.put(Receipt.from_json(data))
    except BaseException as error:  # noqa: BLE001 - handed to the driver's thread, which raises it
        arrivals.put(_unwrapped(error))
    arrivals.put(None)


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
