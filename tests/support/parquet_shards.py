"""Parquet shards in a temporary directory, and requests to read them."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from labelmill.formats import ReadRequest, SplitRows
from labelmill.splits import CutRule, Shard, Split

LARGE = 1 << 40


def shard_of(directory: Path, data: bytes | pa.Table, **options: object) -> Shard:
    """The bytes, or the table as pyarrow writes it, as the shard `in.parquet`."""
    path = directory / "in.parquet"
    path.write_bytes(data if isinstance(data, bytes) else parquet_bytes(data, **options))
    return Shard(
        path=path.name, url=str(path), format="parquet", size=path.stat().st_size, version="1"
    )


def parquet_bytes(table: pa.Table, **options: object) -> bytes:
    """The table as pyarrow writes it."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return sink.getvalue().to_pybytes()


def request(
    *,
    rows: int = LARGE,
    size: int = LARGE,
    fields: Mapping[str, str] | None = None,
    kept: pa.Schema | None = None,
    optional: Iterable[str] = (),
    done: Iterable[Split] = (),
) -> ReadRequest:
    """A request for column `text`, bounded by nothing, unless said otherwise."""
    return ReadRequest(
        rule=CutRule(split_rows=rows, split_bytes=size),
        fields={"text": "text"} if fields is None else fields,
        optional=frozenset(optional),
        kept=pa.schema([]) if kept is None else kept,
        done={split.index: split for split in done},
    )


def spans(pieces: Iterable[SplitRows]) -> list[tuple[int, int]]:
    """Start and stop of each split."""
    return [(piece.split.start, piece.split.stop) for piece in pieces]


def texts(pieces: Iterable[SplitRows]) -> list[str | None]:
    """The field `text` of all rows."""
    return [text for piece in pieces for text in piece.rows.fields["text"].to_pylist()]


def errors(pieces: Iterable[SplitRows]) -> list[str | None]:
    """The verdicts on all rows."""
    return [error for piece in pieces for error in piece.rows.error.to_pylist()]
