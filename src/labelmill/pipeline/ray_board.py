"""The board as an actor of a Ray cluster, and how workers and driver speak to it."""

from collections.abc import Mapping, Sequence
from typing import Any

import ray

from labelmill.stages.board import Board, Lives, Past


class RemoteBoard:
    """The same board behind a Ray actor; `loaded`, `post`, `end` and `forget` do not wait."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    @classmethod
    def create(cls) -> "RemoteBoard":
        """A new board on the driver's own node, so that it lives as long as the driver.

        Where its process alone is killed, another one takes its place, and knows nothing.
        """
        here = ray.get_runtime_context().get_node_id()
        stay = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
        lasting = ray.remote(Board).options(
            num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=stay
        )
        return cls(lasting.remote())

    def stop(self) -> None:
        """See Board."""
        ray.get(self._handle.stop.remote())

    def stopping(self) -> bool:
        """See Notices."""
        return bool(ray.get(self._handle.stopping.remote()))

    def load(self, replica: str) -> Lives:
        """See Board."""
        lives: Lives = ray.get(self._handle.load.remote(replica))
        return lives

    def loaded(self, replica: str) -> None:
        """See Board."""
        self._handle.loaded.remote(replica)

    def begin(self, split: str) -> Past:
        """See Notices."""
        past: Past = ray.get(self._handle.begin.remote(split))
        return past

    def convict(self, split: str, lethal: Mapping[int, str]) -> None:
        """See Notices."""
        ray.get(self._handle.convict.remote(split, lethal))

    def end(self, split: str) -> None:
        """See Notices."""
        self._handle.end.remote(split)

    def post(self, split: str, rows: int, tokens: int) -> None:
        """See Notices."""
        self._handle.post.remote(split, rows, tokens)

    def forget(self, splits: Sequence[str]) -> None:
        """See Board."""
        if splits:
            self._handle.forget.remote(list(splits))

    def in_flight(self) -> Mapping[str, tuple[int, int]]:
        """See Board."""
        posts: Mapping[str, tuple[int, int]] = ray.get(self._handle.in_flight.remote())
        return posts
