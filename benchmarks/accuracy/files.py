"""Files: what the readers of data sets share: text files, rows held out, Parquet."""

import gzip
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]
_SEED = b"labelmill accuracy 1"
_DOCUMENT = "-DOCSTART-"


def text(path: Path) -> str:
    """A UTF-8 file, compressed or not, whatever its name says."""
    content = path.read_bytes()
    return (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode()


def lines(path: Path) -> list[str]:
    """The same, line by line; only a line feed ends a line."""
    return text(path).removesuffix("\n").split("\n")


def held_out(rows: Iterable[Row], key: str, share: float) -> tuple[list[Row], list[Row]]:
    """Rows to learn from and, about `share` of all, to be tested on.

    By the hash of the column `key`, lists as their items, so that equal rows are on one side.
    """
    learned: list[Row] = []
    tested: list[Row] = []
    for row in rows:
        (tested if _drawn(repr(row[key])) < share else learned).append(row)
    return learned, tested


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as Parquet."""
    pq.write_table(pa.Table.from_pylist(list(rows)), path)


def sentences(path: Path, separator: str) -> Iterator[tuple[list[str], list[str]]]:
    """Words and tags of a file with a word and its tag on each line, and a blank line between.

    What only says that a document begins is left out.
    """
    words: list[str] = []
    tags: list[str] = []
    for line in [*lines(path), ""]:
        if line.strip():
            word, _, tag = line.rpartition(separator)
            words.append(word)
            tags.append(tag.strip())
            continue
        if words and words != [_DOCUMENT]:
            yield words, tags
        words, tags = [], []


def _drawn(content: str) -> float:
    """A number in [0, 1) of the content alone."""
    digest = hashlib.blake2b(content.encode(), key=_SEED, digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64
