"""Damaged Parquet files: what bad disks and interrupted copies leave."""

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.parquet_shards import parquet_bytes


def paged(table: pa.Table, *, group_rows: int, page_rows: int, checksums: bool = True) -> bytes:
    """The table in pages of `page_rows`, uncompressed and plain, so that a value can be found."""
    return parquet_bytes(
        table,
        row_group_size=group_rows,
        max_rows_per_page=page_rows,
        write_batch_size=page_rows,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=checksums,
    )


def flipped(data: bytes, marker: str) -> bytes:
    """One bit is wrong inside the page that holds the value `marker`, which is there once."""
    place = data.index(marker.encode())
    assert data.count(marker.encode()) == 1
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def wiped(data: bytes, group: int, column: int) -> bytes:
    """A column chunk is overwritten from its first page header on."""
    chunk = pq.read_metadata(pa.BufferReader(data)).row_group(group).column(column)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    size = chunk.total_compressed_size
    return data[:start] + b"\xff" * size + data[start + size :]


def truncated(data: bytes, share: float) -> bytes:
    """Only the beginning is there."""
    return data[: int(len(data) * share)]


def not_utf8(values: list[bytes | None], kind: pa.DataType | None = None) -> pa.Array:
    """Strings that nobody checked."""
    kind = pa.string() if kind is None else kind
    binary = pa.binary() if kind == pa.string() else pa.large_binary()
    return pa.Array.from_buffers(kind, len(values), pa.array(values, binary).buffers())
