"""What is told of a model while it is trained, against values worked out by hand."""

import numpy as np
import pytest

from labelmill.learning import IGNORED
from labelmill.training.measuring import measure


def tagged(right: str, given: str, names: tuple[str, ...]) -> dict[str, float]:
    """The metrics of one row, whose tags are digits: places in `names`."""
    labels = np.array([[IGNORED, *map(int, right), IGNORED]])
    logits = np.eye(len(names), dtype=np.float32)[[[0, *map(int, given), 0]]]
    return measure("tags", logits, labels, names)


NAMES = [
    ("O", "ORG", "PER"),  # seqeval took the first for "O"
    ("O", "organization", "person"),
    ("O", "WP-POSS", "S-POSS"),
    ("O", "I-ORG", "I-PER"),
]


@pytest.mark.parametrize("names", NAMES)
def test_runs_of_plain_tags_are_entities(names):
    """Right: 11 22 1. Given: 11 2 11: the first alone is exact."""
    found = tagged("0110220100", "0110200110", names)
    assert found["entity_precision"] == pytest.approx(1 / 3)
    assert found["entity_recall"] == pytest.approx(1 / 3)
    assert found["entity_f1"] == pytest.approx(1 / 3)
    assert found["accuracy"] == pytest.approx(0.8)


@pytest.mark.parametrize("names", NAMES)
def test_entities_that_are_missed_are_missed(names):
    found = tagged("0110220", "0110000", names)
    assert (found["entity_precision"], found["entity_recall"]) == (1.0, 0.5)


def test_without_a_tag_outside_every_run_is_an_entity():
    """Right: 00 1 2, given: 00 11."""
    found = tagged("0012", "0011", ("0", "1", "2"))
    assert found["entity_precision"] == pytest.approx(1 / 2)
    assert found["entity_recall"] == pytest.approx(1 / 3)


def test_prefixes_begin_and_end_entities():
    """B-A B-A I-A is two entities; read as one of them, it is half of them."""
    names = ("O", "B-A", "I-A")
    assert tagged("1120", "1120", names)["entity_f1"] == 1.0
    assert tagged("1120", "1220", names)["entity_recall"] == 0.0
    assert tagged("1101", "1201", names)["entity_recall"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "names", [("O", "B-A", "I-A", "E-A", "S-A"), ("O", "B-A", "I-A", "L-A", "U-A")]
)
def test_tags_that_end_an_entity_are_read(names):
    """Right: BIE S S; given: BIE S O."""
    found = tagged("123044", "123040", names)
    assert (found["entity_precision"], found["entity_recall"]) == (1.0, pytest.approx(2 / 3))


def test_numbers_of_one_row_have_no_correlation():
    found = measure("numbers", np.array([[1.5]], np.float32), np.array([[1.0]]), ("score",))
    assert found == {"spearman": 0.0, "pearson": 0.0, "rmse": 0.5}


def test_numbers_of_two_rows_have_one():
    logits = np.array([[1.0], [2.0]], np.float32)
    found = measure("numbers", logits, np.array([[3.0], [1.0]]), ("score",))
    assert (found["spearman"], found["pearson"]) == (pytest.approx(-1), pytest.approx(-1))


@pytest.mark.parametrize(
    ("names", "right", "given", "micro", "macro"),
    [
        ("x", ["x", "x", "", ""], ["x", "", "", ""], 2 / 3, 2 / 3),  # one label is no two classes
        ("x", ["", ""], ["", ""], 0.0, 0.0),
        ("xy", ["x", "xy", "", ""], ["x", "", "", ""], 1 / 2, 1 / 3),
        ("xyz", ["x", "x", "", ""], ["x", "", "x", "z"], 2 / 5, 1 / 4),  # nobody has y
    ],
)
def test_sets_of_labels_are_measured_as_by_evaluate(names, right, given, micro, macro):
    there = [[[name in row for name in names] for row in side] for side in (right, given)]
    logits = np.where(there[1], 1.0, -1.0).astype(np.float32)
    found = measure("label_sets", logits, np.array(there[0], np.float32), names)
    assert (found["f1_micro"], found["f1_macro"]) == (pytest.approx(micro), pytest.approx(macro))
