"""Cutting rows into splits: by content and rule only."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelmill.errors import InputError
from labelmill.ops.cutting import Cut, Cutter
from labelmill.splits import Break, CutRule, Split

SCHEMA = pa.schema([("x", pa.binary())])
SIZES = st.lists(st.integers(0, 6), max_size=30)
RULES = st.builds(
    lambda rows, size: CutRule(split_rows=rows, split_bytes=size),
    st.integers(1, 9),
    st.integers(1, 12),
)


def batch_of(sizes: list[int]) -> pa.RecordBatch:
    return pa.record_batch([pa.array([b"." * size for size in sizes], pa.binary())], schema=SCHEMA)


def cut(
    sizes: list[int],
    rule: CutRule,
    *,
    batch: int = 1000,
    done: dict[int, Split] | None = None,
    broken: tuple[tuple[int, int], ...] = (),
) -> list[Cut]:
    """Feed rows of these sizes in batches; `broken` ranges cannot be read."""
    cutter = Cutter("s", rule, done or {}, SCHEMA)
    cuts: list[Cut] = []
    at = 0
    for start, stop in (*broken, (len(sizes), len(sizes))):
        for place in range(at, start, batch):
            cuts += cutter.feed(place, batch_of(sizes[place : min(place + batch, start)]))
        if start < stop and cutter.wanted is not None and cutter.wanted < stop:
            cuts += cutter.skip(Break(start=cutter.wanted, stop=stop, reason="bad"))
        at = stop
    return [*cuts, *cutter.end()]


def plain_cut(sizes: list[int], rule: CutRule) -> list[tuple[int, int]]:
    """The rule, read out row by row."""
    spans, start = [], 0
    for row in range(1, len(sizes) + 1):
        full = row - start >= rule.split_rows or sum(sizes[start : row + 1]) > rule.split_bytes
        if row == len(sizes) or full:
            spans.append((start, row))
            start = row
    return spans or [(0, 0)]


def spans(cuts: list[Cut]) -> list[tuple[int, int]]:
    return [(each.split.start, each.split.stop) for each in cuts]


@given(sizes=SIZES, rule=RULES, batch=st.integers(1, 40))
def test_cut_depends_on_content_and_rule_not_on_batches(
    sizes: list[int], rule: CutRule, batch: int
) -> None:
    cuts = cut(sizes, rule, batch=batch)
    assert spans(cuts) == plain_cut(sizes, rule)
    assert [each.split.index for each in cuts] == list(range(len(cuts)))
    assert [each.split.last for each in cuts] == [False] * (len(cuts) - 1) + [True]
    lengths = [len(value) for each in cuts for value in each.table["x"].to_pylist()]
    assert lengths == sizes


@given(data=st.data(), sizes=SIZES, rule=RULES, batch=st.integers(1, 40))
def test_cut_does_not_depend_on_what_is_done(
    data: st.DataObject, sizes: list[int], rule: CutRule, batch: int
) -> None:
    starts = sorted(data.draw(st.sets(st.integers(0, max(len(sizes), 1)), max_size=4)))
    broken = tuple(zip(starts[::2], starts[1::2], strict=False))
    broken = tuple((start, min(stop, len(sizes))) for start, stop in broken if start < len(sizes))
    whole = cut(sizes, rule, batch=batch, broken=broken)
    kept = data.draw(st.sets(st.sampled_from(range(len(whole)))))
    done = {each.split.index: each.split for each in whole if each.split.index not in kept}
    again = cut(sizes, rule, batch=batch, broken=broken, done=done)
    expected = [each for each in whole if each.split.index in kept]
    assert [each.split for each in again] == [each.split for each in expected]
    assert [each.breaks for each in again] == [each.breaks for each in expected]
    assert [each.table for each in again] == [each.table for each in expected]


@given(data=st.data(), sizes=SIZES, rule=RULES)
def test_cut_splits_and_breaks_cover_the_shard_without_overlap(
    data: st.DataObject, sizes: list[int], rule: CutRule
) -> None:
    starts = sorted(data.draw(st.sets(st.integers(0, len(sizes)), max_size=6)))
    broken = tuple(zip(starts[::2], starts[1::2], strict=False))
    cuts = cut(sizes, rule, broken=broken)
    gaps = [(gap.start, gap.stop) for each in cuts for gap in each.breaks]
    covered = [row for start, stop in [*spans(cuts), *gaps] for row in range(start, stop)]
    assert sorted(covered) == list(range(len(sizes)))
    assert gaps == list(broken)


def test_cut_row_above_both_bounds_is_a_split_of_its_own() -> None:
    assert spans(cut([1, 99, 1], CutRule(split_rows=9, split_bytes=5))) == [(0, 1), (1, 2), (2, 3)]


def test_cut_of_no_rows_is_one_empty_split() -> None:
    (only,) = cut([], CutRule(split_rows=9, split_bytes=5))
    assert only.split == Split(shard="s", index=0, start=0, stop=0, last=True)
    assert only.table.schema == SCHEMA


def test_cut_break_at_the_end_goes_with_the_last_split() -> None:
    cuts = cut([1] * 6, CutRule(split_rows=3, split_bytes=99), broken=((4, 6),))
    assert spans(cuts) == [(0, 3), (3, 4)]
    assert cuts[1].split.last
    assert cuts[1].breaks == (Break(start=4, stop=6, reason="bad"),)


def test_cut_of_a_shard_broken_throughout_is_one_empty_split_with_the_break() -> None:
    (only,) = cut([1] * 6, CutRule(split_rows=3, split_bytes=99), broken=((0, 6),))
    assert only.split == Split(shard="s", index=0, start=0, stop=0, last=True)
    assert only.breaks == (Break(start=0, stop=6, reason="bad"),)


def test_cut_wants_nothing_when_the_rest_is_done() -> None:
    last = Split(shard="s", index=1, start=2, stop=4, last=True)
    cutter = Cutter("s", CutRule(split_rows=2, split_bytes=99), {1: last}, SCHEMA)
    (first,) = cutter.feed(0, batch_of([1, 1]))
    assert first.split == Split(shard="s", index=0, start=0, stop=2, last=False)
    assert cutter.wanted is None
    assert list(cutter.end()) == []


def test_cut_of_a_shard_shorter_than_what_is_done_is_refused() -> None:
    done = {0: Split(shard="s", index=0, start=0, stop=3, last=False)}
    with pytest.raises(InputError, match="'s' ends at row 3"):
        cut([1] * 3, CutRule(split_rows=3, split_bytes=99), done=done)
