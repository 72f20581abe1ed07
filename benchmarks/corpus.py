"""Corpus: the rows of a benchmark, as Parquet shards with the columns `id` (int64) and `text`.

Rows are taken evenly over the whole corpus, so that a part of it has the lengths of the whole.
Without a corpus there are three of text that every machine has, the docstrings of the installed
packages: their first lines, each as it is, and many of them end to end.
"""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

SHARDS = 16

_LONG = 1500  # characters of a long text, at least
_DOCSTRINGS = 4  # of one long text, about
_SUFFIXES = (".parquet", ".tsv", ".tsv.gz")


def named(asked: Sequence[str], rows: int) -> dict[str, pa.ChunkedArray]:
    """Name -> texts, of `NAME=DIRECTORY:COLUMN` each; without any, docstrings."""
    if not asked:
        return _docstrings(rows)
    found = {}
    for one in asked:
        name, _, rest = one.partition("=")
        place, _, column = rest.rpartition(":")
        if not (name and place and column):
            raise SystemExit(f"--corpus {one}: expected NAME=DIRECTORY:COLUMN")
        found[name] = _texts(place, column, rows)
    return found


def evenly(size: int, rows: int) -> pa.Array:
    """Places of `rows` rows evenly over `size`; from the start again where there are too few."""
    if rows > size:
        return pa.array(np.arange(rows) % size)
    return pa.array(np.arange(rows) * size // rows)


def some(rows: pa.Table, count: int) -> pa.Table:
    """At most `count` rows, evenly over all."""
    return rows.take(evenly(len(rows), min(count, len(rows))))


def write(directory: Path, found: pa.Table, shards: int = SHARDS) -> None:
    """Write the rows, in their order, as shards of equal counts into a new directory."""
    directory.mkdir(parents=True)
    bounds = np.arange(shards + 1) * len(found) // shards
    for number, (start, stop) in enumerate(itertools.pairwise(bounds.tolist())):
        pq.write_table(found.slice(start, stop - start), directory / f"part-{number:05d}.parquet")


def table(found: pa.ChunkedArray) -> pa.Table:
    """Texts with their ids, counted from 0."""
    return pa.table({"id": np.arange(len(found)), "text": found})


def lengths(model: Path, texts: Sequence[str], max_length: int) -> npt.NDArray[np.int32]:
    """Tokens of each text, as a model gets them."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return np.array([len(found.ids) for found in tokenizer.encode_batch_fast(texts)], np.int32)


def _texts(place: str, column: str, rows: int) -> pa.ChunkedArray:
    """`rows` texts of the Parquet or TSV files of a file or directory; nulls are left out."""
    root = Path(place)
    files = sorted(root.rglob("*")) if root.is_dir() else [root]
    files = [path for path in files if path.name.endswith(_SUFFIXES)]
    if not files:
        raise SystemExit(f"{place!r} has no file that ends in {' or '.join(_SUFFIXES)}")
    pieces = [_column(path, column).combine_chunks() for path in files]
    found = pa.chunked_array(pieces, pa.large_string()).drop_null()
    if not len(found):
        raise SystemExit(f"{place!r} has no text in column {column!r}; give another one")
    return found.take(evenly(len(found), rows))


def _column(path: Path, column: str) -> pa.ChunkedArray:
    try:
        return _read(path, column)
    except (KeyError, pa.ArrowInvalid) as error:
        raise SystemExit(
            f"{str(path)!r}: no text in a column {column!r} ({error}); give another column, or "
            "one file instead of its directory"
        ) from error


def _read(path: Path, column: str) -> pa.ChunkedArray:
    if path.suffix == ".parquet":
        return pq.read_table(path, columns=[column])[column].cast(pa.large_string())
    plain = pc.ParseOptions(delimiter="\t", quote_char=False)
    kind = pc.ConvertOptions(column_types={column: pa.large_string()}, include_columns=[column])
    return pc.read_csv(path, parse_options=plain, convert_options=kind)[column]


def _docstrings(rows: int) -> dict[str, pa.ChunkedArray]:
    from labelmill.demo import packages

    texts = [item.text for item in packages.rows(_DOCSTRINGS * rows)]
    kinds = {
        "short": [text.strip().partition("\n")[0] for text in texts],
        "web": texts,
        "long": list(_joined(texts)),
    }
    return {
        name: pa.chunked_array([kind], pa.large_string()).take(evenly(len(kind), rows))
        for name, kind in kinds.items()
    }


def _joined(texts: Sequence[str]) -> Iterator[str]:
    """Neighbours end to end, each as long as a long text."""
    joined: list[str] = []
    for text in texts:
        joined.append(text)
        if sum(map(len, joined)) >= _LONG:
            yield "\n\n".join(joined)
            joined = []
