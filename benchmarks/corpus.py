"""Corpus: the rows of a benchmark, as Parquet shards with the columns `id` (int64) and `text`.

Rows are taken evenly over the whole corpus, so that a part of it has the lengths of the whole.
Without a corpus it is text that every machine has: the docstrings of the installed packages,
repeated where they are too few.
"""

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

SHARDS = 16


def texts(corpus: str | None, column: str, rows: int) -> pa.ChunkedArray:
    """`rows` texts of a Parquet file or directory (None: docstrings); nulls are left out."""
    if corpus is None:
        return _docstrings(rows)
    found = ds.dataset(corpus, format="parquet").to_table([column])[column].drop_null()
    if not len(found):
        raise SystemExit(f"{corpus!r} has no text in column {column!r}; give another --column")
    return found.cast(pa.large_string()).take(evenly(len(found), rows))


def evenly(size: int, rows: int) -> pa.Array:
    """Places of `rows` rows evenly over `size`; from the start again where there are too few."""
    if rows > size:
        return pa.array(np.arange(rows) % size)
    return pa.array(np.arange(rows) * size // rows)


def write(directory: Path, found: pa.Table, shards: int = SHARDS) -> None:
    """Write the rows, in their order, as shards of equal counts into a new directory."""
    directory.mkdir(parents=True)
    bounds = np.arange(shards + 1) * len(found) // shards
    for number, (start, stop) in enumerate(itertools.pairwise(bounds.tolist())):
        pq.write_table(found.slice(start, stop - start), directory / f"part-{number:05d}.parquet")


def table(found: pa.ChunkedArray) -> pa.Table:
    """Texts with their ids, counted from 0."""
    return pa.table({"id": np.arange(len(found)), "text": found})


def _docstrings(rows: int) -> pa.ChunkedArray:
    from labelmill.demo import packages

    found = pa.chunked_array([[item.text for item in packages.rows(rows)]], pa.large_string())
    return found.take(evenly(len(found), rows))
