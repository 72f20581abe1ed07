"""Board: where the workers tell the driver how far they are, and the driver that they are to stop.

One small actor beside the driver. It outlives workers that die, so that an error that no new try
can mend is found by the workers that come after, and nobody tries for ever.
"""

from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from labelmill.training.seat import Standing


class Board:
    """The last word of each side."""

    def __init__(self) -> None:
        self._standing: Standing | None = None
        self._failure: Exception | None = None
        self._stop = False

    def show(self, standing: Standing) -> bool:
        """Put up how far the workers are; whether they are to stop."""
        self._standing = standing
        return self._stop

    def standing(self) -> Standing | None:
        """What was put up last."""
        return self._standing

    def stop(self) -> None:
        """Let the workers stop with a checkpoint."""
        self._stop = True

    def fail(self, failure: Exception) -> None:
        """Put up an error that would come again; the first one stays."""
        self._failure = self._failure or failure

    def failure(self) -> Exception | None:
        """The error, if there is one."""
        return self._failure


def put_up() -> Any:
    """A new board on this node, as a handle that travels to the workers."""
    here = ray.get_runtime_context().get_node_id()
    place: Any = NodeAffinitySchedulingStrategy(here, soft=False)
    actor: Any = ray.remote(num_cpus=0, scheduling_strategy=place)(Board)
    return actor.remote()
