"""Read: the first stage. A shard in, its pending splits out, front to back.

The work list is taken frozen: a reader re-checks that its shard is still the recorded one, and
never asks the ledger.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

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


def largest_first(works: Iterable[ReadWork]) -> list[ReadWork]:
    """The order in which shards are read, so that no large one is left for the end."""
    return sorted(works, key=lambda work: (-work.shard.size, work.shard.path))


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
