"""Splits of a shard of text: cut front to back, as a function of its content and the rule alone.

A split ends before the unit (a line, a record) that would bring it over either bound of the rule,
and has at least one. Blank units are no rows, but their bytes count. What is done already does not
move a cut.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from labelmill.ops.pieces import P, PieceReader
from labelmill.splits import CutRule, Split

T = TypeVar("T")


def cut(
    reader: PieceReader[P],
    shard: str,
    rule: CutRule,
    done: Mapping[int, Split],
    parse: Callable[[P], T],
) -> Iterator[tuple[Split, list[T]]]:
    """Every split of `shard` that is not in `done`, with what `parse` made of its units.

    A split is given once it is known whether another unit follows. A shard without units is one
    empty split. What was taken from `reader` already belongs to the first split.
    """
    place = _next_place(done, 0, 0)
    while place is not None:
        index, start = place
        if start:
            reader.skip_to(start)
        parts = [parse(piece) for piece in _fill(reader, rule, start)]
        last = reader.peek() is None
        yield Split(shard=shard, index=index, start=start, stop=reader.offset, last=last), parts
        place = None if last else _next_place(done, index + 1, reader.offset)


def _next_place(done: Mapping[int, Split], index: int, start: int) -> tuple[int, int] | None:
    """Index and start of the next split to read, from this one on; None if the last one is done."""
    while (split := done.get(index)) is not None:
        if split.last:
            return None
        index, start = index + 1, split.stop
    return index, start


def _fill(reader: PieceReader[P], rule: CutRule, start: int) -> Iterator[P]:
    rows, stop, begin = 0, start + rule.split_bytes, reader.offset
    while (piece := reader.peek()) is not None:
        count = piece.fitting(rule.split_rows - rows, stop)
        if count == 0 and reader.offset > begin:
            return
        taken = reader.take(max(count, 1))
        rows += int(taken.filled.sum())
        yield taken
