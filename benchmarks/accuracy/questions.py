"""Questions: SubjQA -> `train.parquet` and `test.parquet`: columns question, context, answers.

Questions about reviews; a third has no answer in the review that it is asked of. The files have a
row for each person who answered. Here a question of a review is one row, with every answer given:
so its publishers count them (591 of groceries to test; 64.7% of groceries with an answer).
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
    """Reviews of groceries, as published; learned from are also those of restaurants."""
    domains = [data / "subjqa" / domain for domain in ("grocery", "restaurants")]
    write(work / "train.parquet", [row for one in domains for row in _rows(one / "train.csv.gz")])
    write(work / "test.parquet", _rows(data / "subjqa" / "grocery" / "test.csv.gz"))


def always_empty(work: Path) -> float:
    """The metric of no answer to every question of the test file: the share that has none."""
    answers = pq.read_table(work / "test.parquet")["answers"].to_pylist()
    return sum(not one["text"] for one in answers) / len(answers)


def _rows(path: Path) -> list[Row]:
    asked: dict[tuple[str, str], Row] = {}
    for question, context, span in _answers(path):
        nothing: Row = {"text": [], "answer_start": []}
        answers = asked.setdefault((question, context), nothing)
        # Where one person found an answer and another did not, there is one.
        if span is not None:
            answers["text"].append(context[slice(*span)])
            answers["answer_start"].append(span[0])
    return [
        {"question": question, "context": context, "answers": answers}
        for (question, context), answers in asked.items()
    ]


def _answers(path: Path) -> Iterator[tuple[str, str, tuple[int, int] | None]]:
    """Question, review, and the place of the answer, as one person gave it."""
    for row in csv.DictReader(io.StringIO(text(path), newline="")):
        # The spans are words with spaces between them; the places are those of the review.
        none = row["human_ans_spans"] == _NONE
        span = None if none else ast.literal_eval(row["human_ans_indices"])
        yield row["question"], row["review"].removesuffix(_NONE).rstrip(), span
