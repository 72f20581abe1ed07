"""Runs whose rows a test writes down: real ledger and parts, no model."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from labelmill.ledger.commit import commit
from labelmill.ledger.run import Run
from labelmill.ops import plugins
from labelmill.splits import Reject, Split
from labelmill.storage import open_store
from tests.support import runs

SCORED = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float32())]))


def labelled_run(
    directory: Path,
    kept: Mapping[str, Any],
    added: Mapping[str, Any],
    *,
    task: str = "text-classification",
    settings: Mapping[str, Any] | None = None,
    part_format: str = "parquet",
    cuts: Sequence[int] = (),
    rejected: int = 0,
    unfinished: bool = False,
    lines: Sequence[str] | None = None,
) -> str:
    """A run with these columns, cut into parts at these rows; its path.

    `added` columns are the task's; `rejected` rows more stand in the first receipt. With `lines`,
    objects of JSON, these are carried as they are instead of columns that are kept.
    """
    table = pa.table({**kept, **added})
    carried = None if lines is None else pa.chunked_array([pa.array(lines, pa.large_binary())])
    settings = {**(settings or {}), "output.raw": lines is not None}
    part_format = part_format if lines is None else "jsonl"
    shard, store = runs.a_shard("a.jsonl"), open_store(str(directory))
    manifest = replace(
        runs.a_manifest(),
        settings={"task": task, **settings},
        provenance={"model": "a/model"},
        part_format=part_format,
        schema=table.schema,
        source_schema=pa.schema([table.schema.field(name) for name in kept]),
    )
    run = Run.on(store, manifest, [shard], attempt=runs.an_attempt())
    bounds = [0, *cuts, len(table)]
    for index, (start, stop) in enumerate(itertools.pairwise(bounds)):
        last = stop == len(table) and not unfinished
        split = Split(shard=shard.path, index=index, start=start, stop=stop, last=last)
        data = plugins.load("labelmill.formats", part_format).write(
            table.slice(start, stop - start),
            {},
            None if carried is None else carried.slice(start, stop - start),
        )
        bad = rejected if index == 0 else 0
        receipt = replace(
            runs.a_receipt(split, part=data),
            part=f"{split.id}.{part_format}",
            rows_read=stop - start + bad,
            rows_labelled=stop - start,
            rows_rejected=bad,
            rows_written=stop - start,
            rejects=tuple(Reject(position=n, reason="text: is null") for n in range(bad)),
        )
        done = commit(store, receipt, data)
        assert done is not None
        run.record(done)
    run.close()
    if not unfinished:
        run.seal()
    return str(directory)


def scored(rows: Sequence[Mapping[str, float]]) -> pa.Array:
    """The column `scores` of these labels with their scores."""
    listed = [[{"label": label, "score": score} for label, score in row.items()] for row in rows]
    return pa.array(listed, SCORED)
