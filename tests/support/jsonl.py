"""Shards of JSON Lines on disk, and what a read of them gives, as plain values."""

import bz2
import gzip
import lzma
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import zstandard

from labelmill.formats import ReadRequest, SplitRows, jsonl
from labelmill.splits import CutRule, Rows, Shard

COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".zst": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
    ".zstd": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
    ".bz2": lambda data: bz2.compress(data, 1),
    ".xz": lambda data: lzma.compress(data, preset=0),
}
WHOLE = CutRule(split_rows=10**9, split_bytes=1 << 40)


def shard_of(folder: Path, data: bytes, name: str = "a.jsonl") -> Shard:
    """A shard with these stored bytes."""
    path = folder / name
    path.write_bytes(data)
    return Shard(path=name, url=str(path), format="jsonl", size=len(data), version="1")


def request(column: str = "text", rule: CutRule = WHOLE, **more: object) -> ReadRequest:
    """A request for one field, `text`."""
    return ReadRequest(rule=rule, fields={"text": column}, **more)  # type: ignore[arg-type]


def read(shard: Shard, wanted: ReadRequest | None = None) -> list[SplitRows]:
    """All splits of a shard."""
    return list(jsonl.read(shard, wanted or request()))


def rows_of(splits: list[SplitRows]) -> Rows:
    """The rows of all splits, as those of one."""
    return Rows.from_table(pa.concat_tables([split.rows.to_table() for split in splits]))


def texts_and_errors(folder: Path, data: bytes, **more: object) -> list[tuple[object, object]]:
    """One (text, error) a row of a shard with these bytes."""
    rows = rows_of(read(shard_of(folder, data), request(**more)))  # type: ignore[arg-type]
    return list(zip(rows.fields["text"].to_pylist(), rows.error.to_pylist(), strict=True))
