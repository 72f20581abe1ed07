"""Words: data sets of named entities -> `train.parquet` and `test.parquet` (words, tags in BIO).

And the second opinion: the entities of a labelled run, as tags, measured by seqeval itself.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow.dataset as ds
from seqeval.metrics import f1_score

from benchmarks.accuracy.files import Row, held_out, sentences, write

_OUTSIDE = "O"
_HIDDEN = "_labelmill"


def wnut17(data: Path, work: Path) -> None:
    """Tweets to learn from and, as in the shared task, other comments to be tested on."""
    for source, target in (("wnut17train.conll.gz", "train"), ("emerging.dev.conll", "test")):
        write(work / f"{target}.parquet", _rows(data / "wnut17" / source, "\t"))


def wikigold(data: Path, work: Path) -> None:
    """Sentences of Wikipedia; a fifth of them is held out."""
    rows = _rows(data / "wikigold" / "wikigold.conll.txt.gz", " ")
    for name, part in zip(("train", "test"), held_out(rows, "words", 0.2), strict=True):
        write(work / f"{name}.parquet", part)


def by_seqeval(labelled: Path) -> float:
    """Seqeval's F1 of the entities that a run gave to its words; the columns words and tags."""
    parts = [str(path) for path in labelled.rglob("*.parquet") if _HIDDEN not in path.parts]
    rows = ds.dataset(parts, format="parquet").to_table(["words", "tags", "entities"]).to_pylist()
    given = [_tags(row["words"], row["entities"]) for row in rows]
    return float(f1_score([row["tags"] for row in rows], given))


def _rows(path: Path, separator: str) -> list[Row]:
    return [{"words": words, "tags": _begun(tags)} for words, tags in sentences(path, separator)]


def _begun(tags: Sequence[str]) -> list[str]:
    """IOB1, where an entity begins with I- unless it follows another of its kind, as BIO."""
    found: list[str] = []
    for before, tag in zip([_OUTSIDE, *tags], tags, strict=False):
        begins = tag.startswith("I-") and before[2:] != tag[2:]
        found.append(f"B-{tag[2:]}" if begins else tag)
    return found


def _tags(words: Sequence[str], entities: Sequence[Row]) -> list[str]:
    """The tags of the words that each entity touches, where words are joined by single spaces."""
    tags, start = [_OUTSIDE] * len(words), 0
    for place, word in enumerate(words):
        end = start + len(word)
        for one in entities:
            if one["start"] < end and start < one["end"]:
                tags[place] = f"{'B' if start <= one['start'] else 'I'}-{one['label']}"
        start = end + 1
    return tags
