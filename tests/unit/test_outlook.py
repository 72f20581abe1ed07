"""What is said of a running job: share, speed and the time left."""

import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import pytest
from rich.console import Console

from labelmill.ledger.coverage import ShardCoverage
from labelmill.ledger.receipt import Receipt
from labelmill.reports.outlook import Outlook, View
from labelmill.reports.progress import Progress, line
from labelmill.splits import Break, Shard, Split


def shard(path: str, size: int) -> Shard:
    kind = "parquet" if path.endswith("parquet") else "jsonl"
    return Shard(path=path, url=path, format=kind, size=size, version="1")


def receipt(path: str, start: int, stop: int, rows: int, *, last: bool = False) -> Receipt:
    return Receipt(
        split=Split(shard=path, index=0, start=start, stop=stop, last=last),
        generation=0,
        part="p",
        part_size=1,
        checksum="sha256:00",
        rows_read=rows,
        rows_labelled=rows - 1,
        rows_rejected=1,
        rows_written=rows - 1,
        tokens=rows * 10,
        padded_tokens=rows * 11,
        rejects=(),
        breaks=(),
        seconds={},
        attempt="a",
    )


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def outlook(
    *shards: Shard,
    done: Sequence[Receipt] = (),
    rows_total: int | None = None,
    mine: float = 1.0,
) -> Outlook:
    """After an attempt that has committed the splits `done`."""
    covered: dict[str, ShardCoverage] = defaultdict(lambda: ShardCoverage(0))
    for each in done:
        covered[each.split.shard].add(each.to_entry())
    return Outlook(
        {each.path: each for each in shards},
        rows_total=rows_total,
        before=covered.items(),
        mine=mine,
        clock=Clock(),
    )


def test_outlook_with_counted_rows_tells_share_speed_and_time_left() -> None:
    earlier = replace(receipt("b.parquet", 0, 100, 100), rows_rejected=0)
    job = outlook(shard("a.parquet", 100), shard("b.parquet", 100), done=[earlier], rows_total=400)
    job.committed(receipt("a.parquet", 0, 90, 90))
    job.flying(10, 100)
    job._clock.now = 5.0

    seen = job.view()

    assert (seen.rows, seen.share, seen.rejected) == (200, 0.5, 1)
    assert (seen.rows_per_second, seen.tokens_per_second, seen.left) == (20, 200, 10)


def test_outlook_projects_rows_of_plain_lines_from_their_bytes() -> None:
    job = outlook(shard("a.jsonl", 1000), shard("b.jsonl", 1000))
    assert job.total() is None

    job.committed(receipt("a.jsonl", 0, 500, 50))

    assert job.total() == 200


def test_outlook_allows_for_rows_to_come_that_are_far_shorter() -> None:
    counted = outlook(shard("a.parquet", 100), rows_total=400)
    projected = outlook(shard("a.jsonl", 1000), shard("b.jsonl", 1000))
    assert (counted.most(), projected.most()) == (400, None)

    projected.committed(receipt("a.jsonl", 0, 500, 50))

    assert projected.most() == 50 + 10 * 150


def test_outlook_counts_a_compressed_shard_when_it_is_finished() -> None:
    job = outlook(shard("a.jsonl.gz", 100), shard("b.jsonl.gz", 300))
    job.committed(receipt("a.jsonl.gz", 0, 5000, 50))
    assert job.total() is None

    job.committed(receipt("a.jsonl.gz", 5000, 9000, 30, last=True))

    assert job.total() == 320


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
def test_outlook_of_a_resumed_run_knows_the_rows_of_a_shard_that_was_begun(suffix: str) -> None:
    shards = [shard(f"{name}.{suffix}", 100) for name in "abcd"]
    begun = receipt(f"a.{suffix}", 0, 95, 95)
    job = outlook(*shards, done=[begun])

    rest = receipt(f"a.{suffix}", 95, 100, 5, last=True)
    job.committed(replace(rest, split=replace(rest.split, index=1)))

    assert (job.total(), job.view().share) == (400, 0.25)


def test_outlook_of_a_resumed_run_projects_from_what_is_done() -> None:
    shards = [shard(f"{name}.jsonl.gz", 100) for name in "abcd"]
    job = outlook(*shards, done=[receipt("b.jsonl.gz", 0, 90, 90, last=True)])

    assert job.total() == 360


def test_outlook_expects_as_many_rows_of_good_shards_whatever_a_damaged_one_held() -> None:
    bad, good = shard("bad.jsonl.gz", 900), [shard(f"{name}.jsonl", 100) for name in "ab"]
    broken = replace(
        receipt("bad.jsonl.gz", 0, 9, 1, last=True),
        breaks=(Break(start=9, stop=None, reason="gzip: broken"),),
    )
    first, later = outlook(bad, *good), outlook(bad, *good, done=[broken])
    first.committed(broken)

    for job in (first, later):
        assert job.total() is None
        job.committed(receipt("a.jsonl", 0, 50, 50))
        assert job.total() == 201


def test_outlook_of_a_slice_tells_the_time_that_its_own_shards_take() -> None:
    shards = [shard(f"{name}.jsonl", 100) for name in "abcde"]
    job = outlook(*shards, done=[receipt("a.jsonl", 0, 100, 100, last=True)], mine=0.25)
    job.committed(receipt("b.jsonl", 0, 50, 50))
    job._clock.now = 5.0

    assert (job.view().share, job.view().left) == (0.3, 5)


def test_share_of_rejects_that_is_just_allowed_is_not_exceeded() -> None:
    job = outlook(shard("a.parquet", 100), rows_total=100)

    job.rejected = 29
    assert not job.exceeds(0.29)  # 0.29 * 100 is a little less than 29
    job.rejected = 30
    assert job.exceeds(0.29)


def test_progress_line_says_what_is_not_known_yet() -> None:
    seen = View(
        rows=1234,
        rejected=0,
        share=None,
        rows_per_second=12.4,
        tokens_per_second=1000.0,
        seconds=1.0,
        left=None,
    )

    assert line(seen) == "1,234 rows  12 rows/s  1,000 tokens/s  0 rejected  ETA ?"


def test_progress_on_a_terminal_redraws_one_line() -> None:
    drawn = io.StringIO()
    seen = View(
        rows=5,
        rejected=1,
        share=0.5,
        rows_per_second=1.0,
        tokens_per_second=2.0,
        seconds=1.0,
        left=61.0,
    )
    with Progress(Console(file=drawn, force_terminal=True, width=120)) as progress:
        progress.show(seen)
        progress.say("a line that stays")

    text = drawn.getvalue()
    assert "5 rows (50.0%)" in text
    assert "ETA 0:01:01" in text
    assert "a line that stays\n" in text
