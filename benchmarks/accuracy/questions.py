"""Questions: SubjQA -> `train.parquet`, `choose.parquet` and `test.parquet`.

Their columns are question, context and answers.

Questions about reviews; more than half have no answer in the review that they are asked of.
"""

import ast
import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.accuracy.files import Row, text, write

_NONE = "ANSWERNOTFOUND"  # the answer of such questions; it also stands at the end of every review


def subjqa(data: Path, work: Path) -> None:
    """Reviews of groceries, as published; learned from are also those of restaurants.

    What several people answered is learned once, as the first of them did. `choose.parquet` has the
    development rows of both.
    """
    domains = [data / "subjqa" / domain for domain in ("grocery", "restaurants")]
    learned: dict[tuple[str, str], Row] = {}
    for domain in domains:
        for row in _rows(domain / "train.csv.gz"):
            learned.setdefault((row["question"], row["context"]), row)
    write(work / "train.parquet", learned.values())
    developed = [row for domain in domains for row in _rows(domain / "dev.csv.gz")]
    write(work / "choose.parquet", developed)
    write(work / "test.parquet", _rows(data / "subjqa" / "grocery" / "test.csv.gz"))


def _rows(path: Path) -> Iterator[Row]:
    for row in csv.DictReader(io.StringIO(text(path), newline="")):
        context = row["review"].removesuffix(_NONE).rstrip()
        answers: Row = {"text": [], "answer_start": []}
        if row["human_ans_spans"] != _NONE:
            # The spans are words with spaces between them; the places are those of the review.
            start, end = ast.literal_eval(row["human_ans_indices"])
            answers = {"text": [context[start:end]], "answer_start": [start]}
        yield {"question": row["question"], "context": context, "answers": answers}


def always_empty(work: Path) -> float:
    """The metric of no answer to every question of the test file: the share that has none."""
    answers = pq.read_table(work / "test.parquet")["answers"].to_pylist()
    return sum(not one["text"] for one in answers) / len(answers)


def threshold(told: Mapping[str, Any], metric: str) -> str:
    """How much better no answer must be, as is best by the metric."""
    found = {row["metric"]: row["best_threshold"] for row in told["tables"]["null_thresholds"]}
    return f"options.null_threshold={found[metric]}"
