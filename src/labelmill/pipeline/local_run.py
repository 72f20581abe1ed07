"""Local: the stages of a job on this machine alone, without Ray.

Threads of the driver read, tokenize and write; each replica is a process of its own. It promises
what the pipeline on Ray promises: a stop asked for ends the job after the splits in prediction,
retries of a split are bounded, an error of ours comes out as it was raised, and whatever is killed,
nothing is lost but the splits in flight. It knows nothing of GPUs.
"""

import functools
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence

from labelmill.errors import ConfigError
from labelmill.pipeline.cluster import Cluster
from labelmill.pipeline.events import Arrivals, Event, followed
from labelmill.pipeline.replica_process import Child, ReplicaProcess
from labelmill.pipeline.runner import Answer, Stopping
from labelmill.pipeline.shape import Shape
from labelmill.plan.recipe import Recipe
from labelmill.stages.board import Board
from labelmill.stages.parcel import Parcel
from labelmill.stages.read import ReadWork, largest_first, read
from labelmill.stages.tokenize import tokenize
from labelmill.stages.write import write
from labelmill.threads import cores, spread

_PATIENCE = 10.0  # seconds
_MOST_A_CORE = 4  # replicas: a job file of a cluster, run on a laptop, would take all memory


class LocalRunner:
    """See Runner."""

    name = "local"

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._ready = [Child(verbose=verbose)]  # it imports while the job is planned
        count = cores()
        self.cluster = Cluster(nodes=1, cores=count, cpus=float(count), gpus=0.0)

    def close(self) -> None:
        """End what was started and has not become a replica."""
        for child in self._ready:
            child.kill()

    def ask(self, question: Callable[[], Answer], *, gpus: float) -> Answer:
        """See Runner."""
        del gpus
        return question()

    def run(
        self,
        recipe: Recipe,
        works: Sequence[ReadWork],
        shape: Shape,
        stopping: Stopping,
    ) -> Generator[Event, None, None]:
        """See Runner; raises ConfigError for far more replicas than cores."""
        self._refuse_crowd(shape.replicas)
        board = Board()
        replicas = [
            ReplicaProcess(number, recipe, board, self._started) for number in range(shape.replicas)
        ]
        crew = _Crew(_tokenized(recipe, works, shape, board), replicas, shape.in_flight, recipe)
        try:
            yield from followed(crew.arrivals, board, stopping)
        finally:
            board.stop()
            for replica in replicas:
                replica.kill()
            crew.join()
            for replica in replicas:  # one may have been about to start
                replica.kill()

    def _refuse_crowd(self, replicas: int) -> None:
        there = self.cluster.cores
        if replicas > _MOST_A_CORE * there:
            raise ConfigError(
                f"resources.replicas: {replicas} processes, each with a model of its own, and this "
                f"machine has {there} cores; more than {there} gain nothing: lower it, or set it "
                "to 'auto'"
            )

    def _started(self) -> Child:
        try:
            return self._ready.pop()
        except IndexError:
            return Child(verbose=self._verbose)


def _tokenized(
    recipe: Recipe, works: Sequence[ReadWork], shape: Shape, board: Board
) -> Iterator[Parcel]:
    """Every pending split, a few ahead of who takes them."""
    parcels = (parcel for work in largest_first(works) for parcel in read(work, recipe, board))
    encode = functools.partial(tokenize, recipe=recipe, board=board)
    for _, parcel in spread(encode, parcels, shape.tokenizers, shape.tokenizers + 1):
        yield parcel


class _Crew:
    """Threads that each take a split, have it predicted, and write it.

    A replica has as many as it has splits in flight: while one waits for it, the others write what
    it has predicted and fetch what it will.
    """

    def __init__(
        self,
        parcels: Iterator[Parcel],
        replicas: Sequence[ReplicaProcess],
        in_flight: int,
        recipe: Recipe,
    ) -> None:
        self.arrivals = Arrivals()
        self._parcels = parcels
        self._recipe = recipe
        self._taking = threading.Lock()
        self._working = len(replicas) * in_flight
        self._threads = [
            threading.Thread(target=self._work, args=(replica,), daemon=True)
            for replica in replicas
            for _ in range(in_flight)
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait for the threads, whose replicas have ended; but not long for a store that hangs."""
        until = time.monotonic() + _PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self, replica: ReplicaProcess) -> None:
        try:
            replica.start()
            while (parcel := self._next()) is not None:
                receipt = write(replica.predict(parcel), self._recipe)
                if receipt is not None:
                    self.arrivals.put(receipt)
        except BaseException as error:  # noqa: BLE001 - handed to the driver's thread
            self.arrivals.put(error)
        with self._taking:
            self._working -= 1
            if not self._working:
                self.arrivals.put(None)

    def _next(self) -> Parcel | None:
        with self._taking:
            return next(self._parcels, None)
