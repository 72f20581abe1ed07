"""Corpus: docstrings as shards of several formats, with broken rows among them.

The directory appears under its name whole or not at all. The broken rows are of the kinds that real
corpora have: every one must come out as a reject with its place, and none may cost a good row.
"""

import gzip
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from labelmill.demo import lessons
from labelmill.demo.docstrings import Docstring
from labelmill.demo.library import SCHEMA, Lesson

_T = TypeVar("_T")

SHARDS = (
    "parquet/docstrings-0.parquet",
    "parquet/docstrings-1.parquet",
    "parquet/docstrings-2.parquet",
    "jsonl/docstrings-3.jsonl.gz",
    "jsonl/docstrings-4.jsonl.gz",
    "jsonl/docstrings-5.jsonl.gz",
    "jsonl/docstrings-6.jsonl",
)
# Shard -> what is put in the middle of it: lines of bytes in JSON Lines, texts in Parquet.
BROKEN_LINES = {
    SHARDS[3]: (b'{"id": "broken:cut-off", "text": "A line that ends in the mid',),
    SHARDS[4]: (b'{"id": "broken:number", "text": 17}',),
    SHARDS[5]: (b'{"id": "broken:latin-1", "text": "caf\xe9 is not UTF-8 like this"}',),
    SHARDS[6]: (b'{"id": "broken:null", "text": null}', b"a line that is no JSON at all"),
}
BROKEN_TEXTS = {SHARDS[1]: (None,)}
# Docstrings whose chapter is known and was not learned: by them the labels are evaluated.
KNOWN = "parquet/held-out.parquet"
BROKEN = sum(map(len, [*BROKEN_LINES.values(), *BROKEN_TEXTS.values()]))


def write(directory: Path, docstrings: Sequence[Docstring], known: Sequence[Lesson]) -> None:
    """Write the docstrings, spread evenly over the shards, and the broken rows; a new directory.

    The `known` are a shard of their own, with one more column, their chapter.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".corpus-") as scratch:
        finished = Path(scratch) / "corpus"
        for number, shard in enumerate(SHARDS):
            path = finished / shard
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = [_row(item) for item in _share(docstrings, number)]
            path.write_bytes(
                _parquet(shard, rows) if path.suffix == ".parquet" else _jsonl(shard, rows)
            )
        pq.write_table(lessons.table(known), finished / KNOWN)
        finished.rename(directory)


def _share(docstrings: Sequence[Docstring], number: int) -> Sequence[Docstring]:
    size = len(docstrings)
    return docstrings[size * number // len(SHARDS) : size * (number + 1) // len(SHARDS)]


def _row(docstring: Docstring) -> dict[str, Any]:
    return {"id": docstring.id} | asdict(docstring)


def _parquet(shard: str, rows: Sequence[dict[str, Any]]) -> bytes:
    broken = [{"id": "broken:null", "text": text} for text in BROKEN_TEXTS.get(shard, ())]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(_in_the_middle(rows, broken), SCHEMA), sink)
    return bytes(sink.getvalue())


def _jsonl(shard: str, rows: Sequence[dict[str, Any]]) -> bytes:
    lines = [json.dumps(row, ensure_ascii=False).encode() for row in rows]
    data = b"".join(line + b"\n" for line in _in_the_middle(lines, BROKEN_LINES[shard]))
    # Without mtime=0 the same corpus would have other bytes every second.
    return gzip.compress(data, mtime=0) if shard.endswith(".gz") else data


def _in_the_middle(rows: Sequence[_T], broken: Sequence[_T]) -> list[_T]:
    return [*rows[: len(rows) // 2], *broken, *rows[len(rows) // 2 :]]
