"""Runner: what a job's stages run on: Ray, or processes of this machine alone.

Either gives the same parts: stages and ledger are the same, and what a split becomes does not
depend on who carries it from one stage to the next. Ray is imported only where it is taken.
"""

import os
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from labelmill.config.resources import ResourcesSection
from labelmill.pipeline.cluster import Cluster
from labelmill.pipeline.events import Event
from labelmill.pipeline.shape import Shape
from labelmill.plan.recipe import Recipe
from labelmill.stages.read import ReadWork
from labelmill.threads import cores

Answer = TypeVar("Answer")
Stopping = Callable[[], bool]

MOST_CORES = 8  # of a machine that does without Ray: one process reads and tokenizes for all
_DEVICES = ("dev/nvidia[0-9]*", "dev/kfd", "dev/dxg")  # of GPUs: NVIDIA's, AMD's, those of WSL


class Runner(Protocol):
    """What runs a job."""

    name: str  # as `resources.runner` calls it
    cluster: Cluster

    def ask(self, question: Callable[[], Answer], *, gpus: float) -> Answer:
        """A question answered where a replica would run; raises what it raises there."""
        ...

    def run(
        self,
        recipe: Recipe,
        works: Sequence[ReadWork],
        shape: Shape,
        stopping: Stopping,
    ) -> Generator[Event, None, None]:
        """Label the pending splits; yields events until all are committed or the stop took effect.

        Raises whatever a stage raised. Who does not take all events closes the generator.
        """
        ...


@contextmanager
def runner_of(resources: ResourcesSection, *, verbose: bool) -> Iterator[Runner]:
    """The job's runner; what it starts is ended with it.

    Raises ConfigError where there is a cluster that cannot be joined, ClusterError where Ray cannot
    be started.
    """
    if chosen(resources) == "local":
        from labelmill.pipeline.local_run import LocalRunner  # noqa: PLC0415 - one of the two

        with closing(LocalRunner(verbose=verbose)) as here:
            yield here
        return
    from labelmill.pipeline.ray_run import RayRunner  # noqa: PLC0415 - a second of imports
    from labelmill.pipeline.ray_session import session  # noqa: PLC0415 - a second of imports

    with session(verbose=verbose) as cluster:
        yield RayRunner(cluster)


def chosen(resources: ResourcesSection) -> Literal["local", "ray"]:
    """What the job names; else processes alone on a small machine without GPUs and cluster."""
    if resources.runner != "auto":
        return resources.runner
    small = cores() <= MOST_CORES and not _gpus() and resources.gpus_per_replica in {"auto", 0}
    return "local" if small and not _in_cluster() else "ray"


def _gpus() -> bool:
    """Whether the machine has any; torch would know better, and is two seconds of imports."""
    return any(any(Path("/").glob(device)) for device in _DEVICES)


def _in_cluster() -> bool:
    """Whether `ray.init` would join one: the address is set, or Ray runs on this machine."""
    # As in Ray 2.60: ray._common.utils.get_ray_address_file.
    temporary = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or _TEMPORARY
    return "RAY_ADDRESS" in os.environ or Path(temporary, "ray", "ray_current_cluster").exists()


_TEMPORARY = "/tmp" if os.name == "posix" else tempfile.gettempdir()  # noqa: S108 - Ray's own
