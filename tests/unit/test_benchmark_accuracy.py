"""The data sets of the accuracy benchmark: what its readers make of files as they are published."""

import csv
import gzip
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmarks.accuracy import files, pictures, questions, sounds, texts, words
from benchmarks.accuracy.sets import SETS
from seqeval.metrics import f1_score
from transformers import AutoModelForAudioClassification, AutoModelForImageClassification

ENTITIES = pa.list_(pa.struct([("label", pa.string()), ("start", pa.int64()), ("end", pa.int64())]))


def _rows(path):
    return pq.read_table(path).to_pylist()


def test_equal_rows_are_on_one_side_and_a_tenth_is_held_out():
    rows = [{"text": f"row {number % 1000}", "number": number} for number in range(3000)]
    learned, tested = files.held_out(rows, "text", 0.1)
    assert len(learned) + len(tested) == 3000
    assert not {row["text"] for row in learned} & {row["text"] for row in tested}
    assert 0.07 < len(tested) / 3000 < 0.13


def test_every_set_has_its_two_job_files():
    root = files.__file__.rpartition("/")[0]
    for name in SETS:
        for job in ("train", "label"):
            assert "task:" in files.text(Path(root) / "jobs" / name / f"{job}.yaml")


def test_sst2_is_read_from_tab_separated_files_whose_names_lie(tmp_path):
    (tmp_path / "sst2").mkdir()
    plain = b'label\tsentence\n1\ta "fine film\n0\tno wit\n'
    (tmp_path / "sst2" / "train.tsv.gz").write_bytes(gzip.compress(plain))
    (tmp_path / "sst2" / "dev.tsv").write_bytes(gzip.compress(b"label\tcontent\n0\tbad\n"))
    texts.sst2(tmp_path, tmp_path)
    assert _rows(tmp_path / "train.parquet") == [
        {"text": 'a "fine film', "label": "positive"},
        {"text": "no wit", "label": "negative"},
    ]
    assert _rows(tmp_path / "test.parquet") == [{"text": "bad", "label": "negative"}]


def test_iob1_becomes_bio_and_beginnings_of_documents_are_no_rows(tmp_path):
    lines = "-DOCSTART- O\n\nIn O\nNew I-LOC\nYork I-LOC\nIBM I-ORG\nHP B-ORG\n, O\n\n. O\n"
    (tmp_path / "wikigold").mkdir()
    (tmp_path / "wikigold" / "wikigold.conll.txt.gz").write_bytes(gzip.compress(lines.encode()))
    words.wikigold(tmp_path, tmp_path)
    found = [*_rows(tmp_path / "train.parquet"), *_rows(tmp_path / "test.parquet")]
    assert sorted(found, key=lambda row: row["words"]) == [
        {"words": ["."], "tags": ["O"]},
        {
            "words": ["In", "New", "York", "IBM", "HP", ","],
            "tags": ["O", "B-LOC", "I-LOC", "B-ORG", "B-ORG", "O"],
        },
    ]


def test_entities_of_a_run_are_measured_as_tags_of_their_words(tmp_path):
    spoken, gold = ["New", "York", "(", "IBM"], ["B-LOC", "I-LOC", "O", "B-ORG"]
    given = [
        {"label": "LOC", "start": 0, "end": 8},
        {"label": "ORG", "start": 9, "end": 14},
    ]
    table = pa.table({"words": [spoken], "tags": [gold], "entities": pa.array([given], ENTITIES)})
    (tmp_path / "_labelmill").mkdir()
    (tmp_path / "_labelmill" / "not-a-part.parquet").write_bytes(b"")
    pq.write_table(table, tmp_path / "a.parquet")
    ours = ["B-LOC", "I-LOC", "B-ORG", "I-ORG"]
    assert words.by_seqeval(tmp_path) == f1_score([gold], [ours]) == 0.5


def test_questions_without_answer_do_not_say_so_in_their_context(tmp_path):
    names = ("question", "review", "human_ans_spans", "human_ans_indices")
    lines = [
        ("Sweet?", "It is very sweet. ANSWERNOTFOUND", "very sweet", "(6, 16)"),
        ("Salty?", "It is very sweet. ANSWERNOTFOUND", "ANSWERNOTFOUND", "(18, 32)"),
        ("Sweet?", "It is very sweet. ANSWERNOTFOUND", "ANSWERNOTFOUND", "(18, 32)"),
        ("Sweet?", "It is very sweet. ANSWERNOTFOUND", "It is very sweet", "(0, 16)"),
    ]
    for domain in ("grocery", "restaurants"):
        (tmp_path / "subjqa" / domain).mkdir(parents=True)
        for name in ("train", "test"):
            content = io.StringIO(newline="")
            csv.writer(content).writerows([names, *lines])
            path = tmp_path / "subjqa" / domain / f"{name}.csv.gz"
            path.write_bytes(gzip.compress(content.getvalue().encode()))
    questions.subjqa(tmp_path, tmp_path)
    answered, empty = _rows(tmp_path / "test.parquet")
    assert answered["context"] == empty["context"] == "It is very sweet."
    # As three people answered it, one of whom found nothing.
    assert answered["answers"] == {
        "answer_start": [6, 0],
        "text": ["very sweet", "It is very sweet"],
    }
    assert empty["answers"] == {"answer_start": [], "text": []}
    assert questions.always_empty(tmp_path) == pytest.approx(0.5)
    assert _rows(tmp_path / "train.parquet") == [answered, empty] * 2  # two domains


def test_pictures_and_sounds_come_with_a_model_that_takes_them(tmp_path):
    """Random weights, the same every time; digits are names, and a recording is on one side."""
    for name in ("cifar10", "fsdd"):
        (tmp_path / name).mkdir()
    table = pa.table({"path": ["x/1.jpg"], "image": [b"jpg"], "label": ["cat"]})
    for name in ("train_20k", "test_1k"):
        pq.write_table(table, tmp_path / "cifar10" / f"{name}.parquet")
    pictures.cifar10(tmp_path, tmp_path)
    assert _rows(tmp_path / "test.parquet") == [{"image": b"jpg", "label": "cat"}]
    spoken = {"path": [f"{digit}_theo_5.wav" for digit in range(10)], "audio": [b"wav"] * 10}
    digits = pa.array(range(10), pa.int8())
    pq.write_table(pa.table({**spoken, "label": digits}), tmp_path / "fsdd" / "train_900.parquet")
    sounds.fsdd(tmp_path, tmp_path)
    sides = [_rows(tmp_path / f"{name}.parquet") for name in ("train", "test")]
    assert sorted(row["label"] for side in sides for row in side) == list("0123456789")
    assert all(sides)
    seer = AutoModelForImageClassification.from_pretrained(tmp_path / pictures.MODEL)
    hearer = AutoModelForAudioClassification.from_pretrained(tmp_path / sounds.MODEL)
    assert seer.config.num_labels == hearer.config.num_labels == 10
