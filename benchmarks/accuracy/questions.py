"""Questions: SubjQA -> `train.parquet` and `test.parquet` (question, context, answers).

Questions about reviews; more than half have no answer in the review that they are asked of.
"""

import ast
import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.accuracy.files import Row, text, write

_NONE = "ANSWERNOTFOUND"  # the answer of such questions; it also stands at the end of every review


def subjqa(data: Path, work: Path) -> None:
    """Reviews of groceries, as published; learned from are also those of restaurants.

    What several people answered is learned once, as the first of them did.
    """
    learned: dict[tuple[str, str], Row] = {}
    for domain in ("grocery", "restaurants"):
        for row in _rows(data / "subjqa" / domain / "train.csv.gz"):
            learned.setdefault((row["question"], row["context"]), row)
    write(work / "train.parquet", learned.values())
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
