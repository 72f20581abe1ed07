"""Texts: data sets of text classification -> `train.parquet` and `test.parquet` (text, label)."""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path

from benchmarks.accuracy.files import Row, held_out, lines, text, write

_SENTIMENTS = {"0": "negative", "1": "positive"}


def sst2(data: Path, work: Path) -> None:
    """The training file of GLUE, phrases and sentences; its development file to be tested on."""
    for source, target in (("train.tsv.gz", "train"), ("dev.tsv", "test")):
        found = (line.split("\t", 1) for line in lines(data / "sst2" / source)[1:])
        write(work / f"{target}.parquet", _rows((row, _SENTIMENTS[label]) for label, row in found))


def ag_news(data: Path, work: Path) -> None:
    """A subset of 10,000 descriptions of news; a tenth of it is held out."""
    found = (line.rsplit("\t", 1) for line in lines(data / "ag_news" / "train_10k.tsv.gz"))
    _halves(work, _rows((row, label) for row, label in found))


def banking77(data: Path, work: Path) -> None:
    """The training file; a tenth of it is held out."""
    found = csv.DictReader(io.StringIO(text(data / "banking77" / "train.csv"), newline=""))
    _halves(work, _rows((row["text"], row["category"]) for row in found))


def clinc150(data: Path, work: Path) -> None:
    """Training and test rows in scope, as they were published."""
    splits = json.loads(text(data / "clinc150" / "data_full.json.gz"))
    for name in ("train", "test"):
        write(work / f"{name}.parquet", _rows(splits[name]))


def _rows(pairs: Iterable[tuple[str, str]]) -> list[Row]:
    return [{"text": row, "label": label} for row, label in pairs]


def _halves(work: Path, rows: list[Row]) -> None:
    for name, part in zip(("train", "test"), held_out(rows, "text", 0.1), strict=True):
        write(work / f"{name}.parquet", part)
