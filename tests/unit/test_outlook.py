"""What is said of a running job: share, speed and the time left."""

import io

from rich.console import Console

from labelmill.ledger.receipt import Receipt
from labelmill.reports.outlook import Outlook, View
from labelmill.reports.progress import Progress, line
from labelmill.splits import Shard, Split


def shard(path: str, size: int) -> Shard:
    kind = "parquet" if path.endswith("parquet") else "jsonl"
    return Shard(path=path, url=path, format=kind, size=size, version="1")


def receipt(path: str, start: int, stop: int, rows: int, *, last: bool = False) -> Receipt:
    return Receipt(
        split=Split(shard=path, index=0, start=start, stop=stop, last=last),
        generation=0,
        part="p",
        part_size=1,
        checksum="",
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


def outlook(*shards: Shard, rows_total: int | None = None, rows_before: int = 0) -> Outlook:
    return Outlook(
        {each.path: each for each in shards},
        rows_before=rows_before,
        rejected_before=0,
        rows_total=rows_total,
        clock=Clock(),
    )


def test_outlook_with_counted_rows_tells_share_speed_and_time_left() -> None:
    job = outlook(shard("a.parquet", 100), rows_total=400, rows_before=100)
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
