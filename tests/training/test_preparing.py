"""Rows on their way to examples: what is counted, and files that are empty or of two formats."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelmill.errors import ConfigError, InputError
from labelmill.training import gold
from labelmill.training.plan import make_plan
from tests.support.models import save_tiny
from tests.support.training import job_of, ready, reviews, write_rows

TASK = "text-classification"


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("start"), "bert", "AutoModelForMaskedLM")


def csv_of(path, columns):
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(row) for row in rows)]) + "\n")
    return str(path)


def jsonl_of(path, columns):
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("words", [5, 300])
def test_labels_of_texts_in_windows_weigh_by_rows(tmp_path, start, words):
    """Of 60 rows 20 have each label: two lack it for one that has it, however long the texts."""
    rows = {"text": ["good film " * (words // 2)] * 60, "label": [[], ["a"], ["b"]] * 20}
    data = {"train": write_rows(tmp_path / "rows.parquet", rows), "class_weights": "balanced"}
    made = ready(
        job_of(
            tmp_path, TASK, start, {**data, "validation_fraction": 0},
            options={"max_length": 32, "long_text": "window"},
        )
    )  # fmt: skip
    assert made.manifest.data.train_rows == 60
    assert made.manifest.data.train >= 60 * words // 32
    assert made.recipe.weights == (2.0, 2.0)


def test_weights_of_what_has_no_labels_are_refused_before_rows_are_read(tmp_path):
    start = save_tiny(tmp_path / "start", "bert", "AutoModelForQuestionAnswering")
    rows = {"question": ["q"], "context": ["c"], "answer": ["c"]}
    data = {"train": write_rows(tmp_path / "rows.parquet", rows), "class_weights": "balanced"}
    job = job_of(tmp_path, "question-answering", start, data)
    with pytest.raises(ConfigError, match=r"data\.class_weights: 'balanced' is for labels"):
        make_plan(job, lambda: pytest.fail("nobody needs workers"))


def test_labels_are_counted_over_the_rows_that_are_learned(tmp_path, start):
    """Rows with entities that overlap are left out, and so is what they are labelled with."""
    good = [{"start": 4, "end": 9, "label": "PER"}]
    bad = [{"start": 4, "end": 9, "label": "BAD"}, {"start": 6, "end": 13, "label": "BAD"}]
    rows = {"text": ["the quick fox"] * 15, "entities": [good, good, bad] * 5}
    data = {"train": write_rows(tmp_path / "rows.parquet", rows), "max_rejected": 1.0}
    job = job_of(tmp_path, "token-classification", start, {**data, "validation_fraction": 0})
    found = ready(job).manifest.data
    assert (found.rejected, found.train_rows) == (5, 10)
    assert found.counts == {"B-PER": 10}


def test_second_text_that_turns_up_late_is_learned(tmp_path, start):
    """Behind what tells which columns there are it is read as in the first line."""
    plain = [{"text": "good film", "label": "a", "filling": "x" * (1 << 17)}] * 10
    pairs = [{"text": "good film", "text_pair": "slow plot", "label": "b"}] * 2
    found = []
    for name, rows in {"late": plain + pairs, "early": pairs + plain}.items():
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        job = job_of(tmp_path, TASK, start, {"train": str(file), "validation_fraction": 0})
        found.append(ready(job).manifest.data.tokens)
    assert found[0] == found[1]


def empty_parquet(place):
    columns = {name: pa.array([], pa.string()) for name in ("text", "label")}
    pq.write_table(pa.table(columns), place / "none.parquet")
    return str(place / "none.parquet")


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_without_a_row_there_is_nothing_to_learn_from(tmp_path, start, kind):
    columns = {"text": [], "label": []}
    write = {"csv": csv_of, "jsonl": jsonl_of}.get(kind)
    path = write(tmp_path / f"none.{kind}", columns) if write else empty_parquet(tmp_path)
    with pytest.raises(InputError, match=r"there is no row to learn from; see data\.train"):
        ready(job_of(tmp_path, TASK, start, {"train": path}))


def test_without_a_good_row_the_first_bad_one_is_told(tmp_path, start):
    """The labels are fine, so nothing is said of them."""
    rows = {"text": [1, 2], "label": ["a", "b"]}
    data = {"train": write_rows(tmp_path / "rows.parquet", rows)}
    with pytest.raises(InputError, match=r"none of 2 rows .*'text' is int64, expected a string"):
        ready(job_of(tmp_path, TASK, start, data))


def test_without_a_row_there_is_nothing_to_measure_by(tmp_path, start):
    train = write_rows(tmp_path / "rows.parquet", reviews(12))
    data = {"train": train, "validation": empty_parquet(tmp_path)}
    with pytest.raises(InputError, match=r"data\.validation: there is no row to measure by"):
        ready(job_of(tmp_path, TASK, start, data))


def test_files_of_two_formats_are_learned_from_together(tmp_path, start):
    rows = reviews(60)
    first = {name: values[:30] for name, values in rows.items()}
    second = {name: values[30:] for name, values in rows.items()}
    files = [jsonl_of(tmp_path / "a.jsonl", first), csv_of(tmp_path / "b.csv", second)]
    known = ready(job_of(tmp_path, TASK, start, {"train": files})).manifest.data
    assert known.rows == 60
    assert sum(known.counts.values()) == known.train


def test_files_of_two_formats_are_measured_by_together(tmp_path):
    start = save_tiny(tmp_path / "start", "bert", "AutoModelForQuestionAnswering")
    texts = reviews(20)["text"]
    rows = {"question": ["which?"] * 20, "context": texts, "answer": texts}
    files = [jsonl_of(tmp_path / "a.jsonl", rows), csv_of(tmp_path / "b.csv", rows)]
    data = {"train": files, "validation": files}
    made = ready(job_of(tmp_path, "question-answering", start, data))
    kept = [
        answer for _, right in gold.read(made.recipe.gold, 0, 1) for answer in right.to_pylist()
    ]
    assert kept == [[text] for text in texts * 2]


def test_a_path_is_told_as_it_stands_in_the_job(tmp_path, start):
    place = str(tmp_path / "open.source.d" / "my source files")
    with pytest.raises(InputError) as caught:
        ready(job_of(tmp_path, TASK, start, {"train": place}))
    assert str(caught.value).startswith(f"data path {place!r} does not exist")
