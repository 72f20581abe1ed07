"""Shards: one file of a wanted size in each format that labelmill reads, written front to back.

Rows are of 4 kB: an `id` and a `text` of 64-character words that no compressor can shrink by
much. Only the Parquet shard is held in memory while it is written, because it is one single row
group.
"""

import base64
import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

KINDS = ("jsonl", "jsonl.gz", "jsonl.zst", "parquet")

_TEXT = 4000  # bytes
_WORD = 48  # bytes, 64 characters in base 64
_BLOCK = 1000  # rows written at once
_SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string())])

_OPEN: dict[str, Callable[[Path], BinaryIO]] = {
    "jsonl": lambda path: path.open("wb"),
    "jsonl.gz": lambda path: cast("BinaryIO", gzip.GzipFile(path, "wb", compresslevel=1)),
    "jsonl.zst": lambda path: zstandard.open(path, "wb"),
}


def write(path: Path, kind: str, size: int) -> int:
    """A new shard of about `size` bytes of text, before compression; the number of its rows."""
    rows = max(1, size // _TEXT)
    if kind == "parquet":
        _parquet(path, rows)
    else:
        with _OPEN[kind](path) as file:
            for block in _blocks(rows):
                file.write(b"".join(map(_line, block)))
    return rows


def _blocks(rows: int) -> Iterator[list[tuple[int, str]]]:
    for start in range(0, rows, _BLOCK):
        yield [(row, _text()) for row in range(start, min(start + _BLOCK, rows))]


def _text() -> str:
    words = base64.b64encode(os.urandom(_TEXT // 65 * _WORD)).decode()
    return " ".join(words[start : start + 64] for start in range(0, len(words), 64))


def _line(row: tuple[int, str]) -> bytes:
    return b'{"id": %d, "text": "%s"}\n' % (row[0], row[1].encode())


def _parquet(path: Path, rows: int) -> None:
    batches = [
        pa.record_batch(list(zip(*block, strict=True)), schema=_SCHEMA) for block in _blocks(rows)
    ]
    table = pa.Table.from_batches(batches, _SCHEMA)
    pq.write_table(table, path, row_group_size=rows, use_dictionary=False)
