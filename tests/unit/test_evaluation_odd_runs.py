"""Runs and gold of odd types, and how they are measured all the same."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelmill.errors import ConfigError, CorruptRun, InputError
from labelmill.evaluation import tagging
from labelmill.evaluation.evaluation import Wish, evaluate
from tests.support.inline import job_of, label
from tests.support.labelled_runs import labelled_run, scored
from tests.support.models import tiny_classifier

TEXTS = ["the cat sat", "on a mat", "under the moon", "a cat", "moon"]
KINDS = pytest.mark.parametrize("part_format", ["parquet", "jsonl"])


def of(output, gold="gold", **changes):
    return evaluate(Wish(output=str(output), gold=gold, **{"resamples": 0, **changes}))


def labels_run(directory, kept, given, **changes):
    score = pa.array([0.9] * len(given), pa.float32())
    return labelled_run(directory / "out", kept, {"label": given, "score": score}, **changes)


@pytest.mark.parametrize("keep", ["all", ["text", "gold"]])
@KINDS
def test_gold_of_several_json_types_is_what_it_says(tmp_path, part_format, keep):
    model = tiny_classifier(tmp_path / "bert")

    def run(name, golds):
        place = tmp_path / name
        (place / "in").mkdir(parents=True)
        rows = [{"text": text, "gold": gold} for text, gold in zip(TEXTS, golds, strict=True)]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (place / "in" / "a.jsonl").write_text(lines)
        settings = {
            "task": "text-classification",
            "model": {"path": model, "precision": "float32"},
            "source": {"path": str(place / "in"), "keep": keep},
            "output": {"path": str(place / "out"), "format": part_format},
        }
        assert label(job_of(place, settings)).complete
        return place / "out"

    first = run("first", ["x"] * 5)
    parts = sorted(first.glob(f"*.{part_format}"))
    own = (
        pq.read_table(parts[0])["label"].to_pylist()
        if part_format == "parquet"
        else [json.loads(line)["label"] for line in parts[0].read_text().splitlines()]
    )
    own[2] = 3  # beside texts: the column is JSON text
    found = of(run("second", own))
    assert found.rows.evaluated == 5
    assert found.metrics["accuracy"].value == pytest.approx(4 / 5)


@KINDS
def test_unsigned_numbers_beyond_int64_are_read(tmp_path, part_format):
    kept = {"gold": ["a", "b"], "id": pa.array([1, 2**63 + 5], pa.uint64())}
    output = labels_run(tmp_path, kept, ["a", "b"], part_format=part_format)
    gold = tmp_path / "gold.csv"
    gold.write_text(f"id,g\n1,a\n{2**63 + 5},b\n")
    found = of(output, str(gold), key="id", by=("id",))
    assert (found.rows.evaluated, found.rows.unreadable) == (2, 0)
    assert [each.value for each in found.slices["id"]] == ["1", str(2**63 + 5)]


@pytest.mark.parametrize("several", [False, True])
def test_gold_file_of_views_is_joined(tmp_path, several):
    """As Arrow has texts that some libraries write, of which no row can be taken by its place."""
    view = pa.string_view()
    keys, golds = pa.array(["1", "2"], view), [["a"], ["b", "a"]] if several else ["a", "b"]
    gold = pa.array(golds, pa.list_(view) if several else view)
    pq.write_table(pa.table({"id": keys, "g": gold}), tmp_path / "gold.parquet")
    score = [[0.9], [0.9, 0.8]] if several else [0.9, 0.9]
    output = labelled_run(tmp_path / "out", {"id": ["1", "2"]}, {"label": golds, "score": score})
    found = of(output, str(tmp_path / "gold.parquet"), key="id")
    assert found.metrics["subset_accuracy" if several else "accuracy"].value == 1.0


@pytest.mark.parametrize("column", ["label", "score"])
def test_answers_are_not_measured_against_themselves(tmp_path, column):
    output = labels_run(tmp_path, {"text": ["x", "y"]}, ["a", "b"])
    with pytest.raises(ConfigError, match=r"the run itself wrote.*source\.keep"):
        of(output, column)


@pytest.mark.parametrize(("first", "last"), [(20, 60), (-60, -20)])
def test_parquet_of_flipped_bytes_is_a_corrupt_run(tmp_path, first, last):
    output = labels_run(tmp_path, {"gold": ["a", "b"] * 500}, ["a", "b"] * 500)
    (part,) = (tmp_path / "out").glob("*.parquet")
    data = bytearray(part.read_bytes())
    data[first:last] = bytes(byte ^ 0xFF for byte in data[first:last])
    part.write_bytes(data)
    with pytest.raises(CorruptRun, match="labelmill verify"):
        of(output)


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        (["U-PER", "U-PER", "O"], [(0, 1), (1, 2)]),
        (["B-PER", "L-PER", "U-PER"], [(0, 2), (2, 3)]),
        (["S-PER", "B-PER", "E-PER"], [(0, 1), (1, 3)]),
        (["I-PER", "B-PER", "O"], [(0, 1), (1, 2)]),
        (["PER", "PER", "O"], [(0, 2)]),
        (["O", "PER", "O"], [(1, 2)]),
    ],
)
def test_gold_tags_of_every_scheme_are_read_as_those_of_the_model(tags, spans):
    found = tagging._tagged(tags, ["a", "b", "c"])
    assert found == {("PER", first, last) for first, last in spans}


@pytest.mark.parametrize("name", ["NOUN", "ORG", "SYM", "EX", "BE", "WP-POSS", "."])
def test_plain_tag_keeps_its_name(name):
    assert tagging._tagged([name, "O"], ["a", "b"]) == {(name, 0, 1)}


def test_empty_gold_tag_is_refused():
    with pytest.raises(InputError, match="null or empty"):
        tagging._tagged(["B-PER", ""], ["a", "b"])


def test_numbers_of_tags_take_names_from_the_command_line():
    entity = {"label": "PER", "score": 0.9, "text": "a", "start": 0, "end": 1}
    table = pa.table({"entities": [[entity]], "words": [["a", "b"]]})
    scorer = tagging.TaggingScorer("words", ("O", "B-PER", "I-PER"))
    scorer.add(table, pa.array([[1, 0]]))
    assert scorer.scored().counted(np.array([1]))["entity_f1"] == 1.0
    with pytest.raises(ConfigError, match="tag 3 has no name"):
        scorer.add(table, pa.array([[3, 0]]))
    with pytest.raises(ConfigError, match="--names"):
        tagging.TaggingScorer("words").add(table, pa.array([[1, 0]]))
    with pytest.raises(ConfigError, match="remove it"):
        scorer.add(table, pa.array([["B-PER", "O"]]))


@pytest.mark.parametrize("pair", [("false", "true"), ("False", "True")])
def test_gold_booleans_are_the_labels_that_training_makes_of_them(tmp_path, pair):
    given = [pair[1], pair[0], pair[0]]
    output = labels_run(tmp_path, {"gold": [True, False, True]}, given)
    assert of(output).metrics["accuracy"].value == pytest.approx(2 / 3)


def numbers_run(directory, gold, side=("x", "x", "x", "y", "y", "y")):
    given = pa.array([1, 2, 3.5, 4, 5, 6.5], pa.float32())
    return labelled_run(directory / "out", {"gold": gold, "side": side}, {"score": given})


def test_number_that_is_not_finite_spoils_its_own_slice_alone(tmp_path):
    output = numbers_run(tmp_path, [1.0, 2.0, 3.0, float("inf"), 5.0, 6.0])
    slices = {each.value: each.metrics for each in of(output, by=("side",)).slices["side"]}
    assert slices["x"]["mae"] == pytest.approx(0.5 / 3)
    assert slices["y"]["mae"] is None


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_texts_of_numbers_may_be_missing_and_have_spaces(tmp_path, kind):
    gold = pa.array([" 1", "2 ", "3", "nan", " ", "NaN"], kind)
    found = of(numbers_run(tmp_path, gold))
    assert (found.rows.evaluated, found.rows.without_gold) == (3, 3)
    assert found.metrics["mae"].value == pytest.approx(0.5 / 3)


def test_metric_that_is_not_defined_is_left_out_with_the_reason(tmp_path):
    added = {
        "label": ["a", "a"],
        "score": pa.array([0.6, 0.6], pa.float32()),
        "scores": scored([{"a": 0.6, "b": 0.4}] * 2),
    }
    settings = {"options.scores": "all"}
    output = labelled_run(tmp_path / "out", {"gold": ["a", "a"]}, added, settings=settings)
    assert of(output).told.left_out["roc_auc"] == "it is not defined for these rows"
