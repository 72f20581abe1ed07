"""Builders of ledger nouns: shards, splits, receipts, manifests, and whole small runs."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pyarrow as pa

from labelmill.ledger.attempts import Attempt
from labelmill.ledger.commit import commit
from labelmill.ledger.manifest import Manifest
from labelmill.ledger.receipt import Receipt, checksum, part_name
from labelmill.ledger.run import Run
from labelmill.splits import Break, CutRule, Reject, Shard, Split
from labelmill.storage import Store

ROWS = 10  # of every split


def a_shard(path: str = "a.jsonl", size: int = 100, version: str = "1") -> Shard:
    return Shard(path=path, url=f"/in/{path}", format="jsonl", size=size, version=version)


def shards(count: int) -> tuple[Shard, ...]:
    return tuple(a_shard(f"day/{number:05d}.jsonl") for number in range(count))


def a_split(shard: str = "a.jsonl", index: int = 0, *, last: bool = True) -> Split:
    return Split(shard=shard, index=index, start=index * ROWS, stop=index * ROWS + ROWS, last=last)


def a_part(split: Split, salt: str = "") -> bytes:
    return f"{split.id} {salt}".encode()


def a_receipt(
    split: Split,
    *,
    attempt: str = "one",
    rejected: int = 0,
    generation: int = 0,
    breaks: tuple[Break, ...] = (),
    part: bytes | None = None,
    **changes: Any,
) -> Receipt:
    data = a_part(split) if part is None else part
    receipt = Receipt(
        split=split,
        generation=generation,
        part=part_name(split, "parquet"),
        part_size=len(data),
        checksum=checksum(data),
        rows_read=ROWS,
        rows_labelled=ROWS - rejected,
        rows_rejected=rejected,
        rows_written=ROWS - rejected,
        tokens=100,
        padded_tokens=125,
        rejects=tuple(
            Reject(position=split.start + n, reason="text: is null") for n in range(rejected)
        ),
        breaks=breaks,
        seconds={"predict": 0.5},
        attempt=attempt,
        time=1000.0 + split.index,
    )
    return replace(receipt, **changes)


def a_manifest(**changes: Any) -> Manifest:
    manifest = Manifest(
        labelmill_version="0.1.0",
        created="2026-01-01T00:00:00Z",
        settings={"task": "text-classification", "options.max_length": 512},
        provenance={"model.path": "m"},
        part_format="parquet",
        schema=pa.schema([("label", pa.string()), ("score", pa.float32())]),
        source_schema=pa.schema([pa.field("text", pa.string(), metadata={"k": "v"})]),
        rule=CutRule(split_rows=ROWS, split_bytes=1 << 20),
    )
    return replace(manifest, **changes)


def an_attempt(name: str = "one") -> Attempt:
    return Attempt(name=name, started=990.0, host="here", pid=1)


def open_run(store: Store, found: Iterable[Shard], attempt: str = "one") -> Run:
    return Run.on(store, a_manifest(), found, attempt=an_attempt(attempt))


def label(run: Run, store: Store, splits: int = 3, *, rejected: int = 0, **changes: Any) -> None:
    """Commit every pending split of the run; every shard has as many splits as told."""
    for work in run.pending():
        for index in range(splits):
            if index in work.done:
                continue
            split = a_split(work.shard.path, index, last=index == splits - 1)
            receipt = a_receipt(
                split,
                attempt=run.attempt.name,
                generation=work.generation,
                rejected=rejected,
                **changes,
            )
            committed = commit(store, receipt, a_part(split))
            if committed is not None:
                run.record(committed)


def committed(store: Store, count: int) -> list[Receipt]:
    """Splits 0..count-1 of the one shard, committed, each with one reject."""
    open_run(store, shards(1), "zero").close()
    receipts = []
    for index in range(count):
        split = a_split(shards(1)[0].path, index, last=index == count - 1)
        receipt = commit(store, a_receipt(split, rejected=1), a_part(split))
        assert receipt is not None
        receipts.append(receipt)
    return receipts
