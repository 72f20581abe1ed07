"""The work list as a Ray datasource: one read task a group of shards, one block a split."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata
from typing_extensions import override

from labelmill.plan.recipe import Recipe
from labelmill.stages.board import Notices
from labelmill.stages.read import ReadWork, largest_first, read

READ_TASKS = (
    2000  # Ray starts one object a read task: seconds for thousands, so small shards share one
)


def grouped(works: Sequence[ReadWork]) -> list[list[ReadWork]]:
    """Largest shards first, small ones together where there are more than READ_TASKS."""
    ordered = largest_first(works)
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


class ShardSource(Datasource):
    """The work list as a Ray datasource: one read task a group of shards."""

    def __init__(
        self, groups: Sequence[Sequence[ReadWork]], recipe: Recipe, board: Notices
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # ray's
        self._groups = groups
        # Ray stores each task by itself, and some tokenizers are 17 MB of text.
        self._recipe = replace(recipe, tokenizer=None)
        self._board = board

    @override
    def estimate_inmemory_data_size(self) -> int | None:
        """Stored bytes; Ray only uses it for its log."""
        return sum(work.shard.size for group in self._groups for work in group)

    @override
    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """One task a group, whatever parallelism Ray would like."""
        del parallelism, per_task_row_limit, data_context
        return [self._task(group) for group in self._groups]

    def _task(self, group: Sequence[ReadWork]) -> ReadTask:
        recipe, board = self._recipe, self._board

        def blocks() -> Iterable[pa.Table]:
            for work in group:
                for parcel in read(work, recipe, board):
                    yield parcel.to_block()

        size = sum(work.shard.size for work in group)
        return ReadTask(blocks, BlockMetadata(num_rows=None, size_bytes=size, exec_stats=None))
