"""The shards of the demo, with the broken rows among them."""

import gzip
import json
from pathlib import Path

import pyarrow.parquet as pq

from labelmill.demo import corpus, library
from labelmill.demo.docstrings import Docstring
from labelmill.demo.library import Lesson

DOCSTRINGS = [
    Docstring(module="m", qualname=f"f{n}", file="m.py", line=n, text=f"caf\xe9 number {n}")
    for n in range(72)
]
KNOWN = [Lesson(docstring=item, chapter=f"chapter {item.line % 3}") for item in DOCSTRINGS[:5]]


def test_corpus_holds_every_docstring_once_in_order(tmp_path):
    corpus.write(tmp_path / "corpus", DOCSTRINGS, KNOWN)
    rows = [row for shard in corpus.SHARDS for row in _good(tmp_path / "corpus" / shard)]
    assert [row["text"] for row in rows] == [item.text for item in DOCSTRINGS]
    assert [row["id"] for row in rows] == [item.id for item in DOCSTRINGS]
    assert set(rows[0]) == set(library.SCHEMA.names)


def test_corpus_holds_the_broken_rows_besides(tmp_path):
    corpus.write(tmp_path / "corpus", DOCSTRINGS, KNOWN)
    rows = sum(_rows(tmp_path / "corpus" / shard) for shard in corpus.SHARDS)
    assert rows == len(DOCSTRINGS) + corpus.BROKEN
    assert corpus.BROKEN == 6


def test_corpus_holds_what_is_known_in_a_shard_with_its_chapters(tmp_path):
    corpus.write(tmp_path / "corpus", DOCSTRINGS, KNOWN)
    rows = pq.read_table(tmp_path / "corpus" / corpus.KNOWN).to_pylist()
    assert [(row["id"], row["chapter"]) for row in rows] == [
        (lesson.docstring.id, lesson.chapter) for lesson in KNOWN
    ]


def test_corpus_is_the_same_bytes_every_time(tmp_path):
    for name in ("one", "two"):
        corpus.write(tmp_path / name, DOCSTRINGS, KNOWN)
    for shard in corpus.SHARDS:
        assert (tmp_path / "one" / shard).read_bytes() == (tmp_path / "two" / shard).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def _lines(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()


def _rows(path: Path) -> int:
    return pq.read_metadata(path).num_rows if path.suffix == ".parquet" else len(_lines(path))


def _good(path: Path) -> list[dict[str, object]]:
    if path.suffix == ".parquet":
        return [row for row in pq.read_table(path).to_pylist() if row["text"] is not None]
    name = path.relative_to(path.parents[1]).as_posix()
    broken = set(corpus.BROKEN_LINES[name])
    return [json.loads(line) for line in _lines(path) if line not in broken]
