"""Read: the first stage. A shard in, its pending splits out, front to back.

The work list is taken frozen: a reader re-checks that its shard is still the recorded one, and
never asks the ledger. Ray runs one read task a group of shards.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata
from typing_extensions import override

from labelmill.errors import ShardRefused
from labelmill.formats import Format, SplitRows
from labelmill.ops import plugins
from labelmill.plan.recipe import Recipe
from labelmill.source import recheck
from labelmill.splits import Shard, Split
from labelmill.stages.board import Notices
from labelmill.stages.media import located
from labelmill.stages.parcel import Head, Parcel


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadWork:
    """One shard, and which of its splits are done already."""

    shard: Shard
    generation: int
    done: Mapping[int, Split] = field(default_factory=dict)


def read(work: ReadWork, recipe: Recipe, board: Notices) -> Iterator[Parcel]:
    """The pending splits of one shard as parcels; ends early once the job is stopping."""
    recheck(work.shard)
    request = replace(recipe.request, done=work.done)
    started = time.perf_counter()
    for piece in _format(work.shard).read(work.shard, request):
        if board.stopping():
            return
        if piece.breaks and recipe.output.on_bad_shard == "fail":
            raise ShardRefused(_damage(work.shard, piece))
        rows = located(piece.rows, request.kinds, work.shard.url)
        yield _parcel(replace(piece, rows=rows), work).took("read", time.perf_counter() - started)
        started = time.perf_counter()


def _format(shard: Shard) -> Format:
    module: Format = plugins.load("labelmill.formats", shard.format)
    return module


def _parcel(piece: SplitRows, work: ReadWork) -> Parcel:
    head = Head(split=piece.split, generation=work.generation, breaks=piece.breaks)
    return Parcel(head=head, cells={}).with_cell("rows", piece.rows.to_table())


def _damage(shard: Shard, piece: SplitRows) -> str:
    broken = piece.breaks[0]
    return (
        f"shard {shard.path!r} is damaged at {broken.start}: {broken.reason}; "
        "repair it, or set source.on_bad_shard to 'skip'"
    )


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
