"""Columns of labels, by hand: what they are taken for, and what is learned of each cell."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from labelmill.batch import ModelFacts
from labelmill.config.labels import LabelsSection
from labelmill.errors import ConfigError, InputError
from labelmill.ops import targets

FACTS = ModelFacts(
    model_type="bert",
    architecture="",
    labels=("LABEL_0", "LABEL_1"),
    problem_type=None,
    max_length=None,
    pad_token_id=0,
)


def column(*cells: str) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(cells, pa.large_string())])


def headed(*cells: str, names=None, kind=None, facts=FACTS):
    head = targets.head(column(*cells), facts, names, kind)
    return head, replace(facts, labels=head.labels, problem_type=head.problem_type)


def test_words_are_classes_in_the_order_of_the_alphabet():
    head, facts = headed("good", "bad", "good")
    assert head.labels == ("bad", "good")
    assert head.problem_type == "single_label_classification"
    assert head.counts == {"bad": 1, "good": 2}
    values, errors = targets.learned(column("good", "bad"), facts)
    assert values.tolist() == [1, 0]
    assert errors == {}


def test_integers_are_classes_in_the_order_of_numbers():
    head, facts = headed("10", "9", "2")
    assert head.labels == ("2", "9", "10")
    assert targets.learned(column("9"), facts)[0].tolist() == [1]


def test_integers_may_have_names():
    head, facts = headed("1", "0", "1", names=("no", "yes"))
    assert head.counts == {"no": 1, "yes": 2}
    assert targets.learned(column("1", "no"), facts)[0].tolist() == [1, 0]


def test_a_number_that_is_no_label_is_not_taken_for_a_place():
    _, facts = headed("5", "9", "7")
    assert targets.learned(column("1"), facts)[1] == {0: "no such label is learned: '1'"}


def test_labels_that_the_model_has_keep_their_order():
    known = replace(FACTS, labels=("pos", "neg", "neutral"))
    assert headed("neg", "pos", facts=known)[0].labels == ("pos", "neg", "neutral")


def test_lists_are_sets_of_labels():
    head, facts = headed('["a", "b"]', "[]", '["b"]')
    assert head.problem_type == "multi_label_classification"
    assert head.counts == {"a": 1, "b": 2}
    values, errors = targets.learned(column('["b"]', "[]", '["c"]'), facts)
    np.testing.assert_array_equal(values, [[0, 1], [0, 0], [0, 0]])
    assert list(errors) == [2]


def test_numbers_with_a_point_are_learned_as_numbers():
    head, facts = headed("1.5", "2", "-0.25")
    assert head.problem_type == "regression"
    values, errors = targets.learned(column("1.5", "x", "2"), facts)
    assert values[[0, 2], 0].tolist() == [1.5, 2.0]
    assert errors == {1: "label 'x' found, expected a number"}


def test_lists_of_numbers_where_the_job_says_so():
    head, facts = headed("[1, 2]", "[3, 4.5]", kind="regression")
    assert head.labels == ("score 0", "score 1")
    values, errors = targets.learned(column("[3, 4.5]", "[1]"), facts)
    assert values[0].tolist() == [3.0, 4.5]
    assert list(errors) == [1]


def test_a_label_of_its_own_in_every_list_of_labels():
    _, facts = headed('["a"]', '["b"]')
    assert targets.learned(column("a"), facts)[0].tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("nothing", ["", "  ", "NaN", "nan"])
def test_a_number_that_is_missing_leaves_numbers_what_they_are(nothing):
    head, facts = headed("1.5", nothing, "2")
    assert head.problem_type == "regression"
    _, errors = targets.learned(column("1.5", nothing), facts)
    assert errors == {1: f"label {nothing!r} found, expected a number"}


@pytest.mark.parametrize("nothing", ["", " ", "NaN"])
def test_what_is_missing_is_no_label(nothing):
    head, facts = headed("a", nothing, "b")
    assert head.counts == {"a": 1, "b": 1}
    assert targets.learned(column("a", nothing), facts)[1] == {1: f"there is no label: {nothing!r}"}


def test_nan_in_small_letters_is_the_code_of_a_language():
    assert headed("nan", "yue")[0].labels == ("nan", "yue")


@pytest.mark.parametrize("gap", ["null", '""', "NaN"])
def test_a_list_with_a_label_that_is_missing_is_refused(gap):
    head, facts = headed('["a"]', f'["c", {gap}]', '["b"]', "[]")
    assert head.counts == {"a": 1, "b": 1}
    values, errors = targets.learned(column(f'["a", {gap}]', "[]", ""), facts)
    assert "expected no label of the list to be null or empty" in errors[0]
    assert errors[2] == "there is no label: ''"
    assert 1 not in errors
    assert values[1].tolist() == [0, 0]


def test_a_label_that_a_list_has_twice_is_that_of_one_row():
    assert headed('["a", "a"]', '["b"]')[0].counts == {"a": 1, "b": 1}


def test_dashes_before_a_number_make_a_word():
    assert headed("--5", "-5", "4")[0].labels == ("-5", "4", "--5")


def test_a_number_of_too_many_digits_is_a_word():
    many = "1" * 5000
    assert headed("a", many)[0].labels == (many, "a")
    _, facts = headed("1", "0", names=("no", "yes"))
    assert "no such label" in targets.learned(column(many), facts)[1][0]


def test_a_number_that_float32_does_not_hold_is_no_target():
    _, facts = headed("1.5", "2")
    assert list(targets.learned(column("1e39", "9" * 400), facts)[1]) == [0, 1]


def test_names_that_the_labels_cannot_have_are_refused():
    with pytest.raises(ConfigError, match=r"options\.labels: .* expected two or more"):
        headed("1", "0", names=("x",))
    with pytest.raises(ConfigError, match=r"options\.labels: .* has numbers"):
        headed("1.5", "0", names=("x", "y"))
    assert headed('["x"]', "[]", names=("x",))[0].labels == ("x",)
    with pytest.raises(ValueError, match="'x' stands there 2 times, expected different names"):
        LabelsSection(labels=("x", "y", "x"))


@pytest.mark.parametrize("cells", [("same", "same"), ()])
def test_fewer_than_two_labels_teach_nothing(cells):
    with pytest.raises(InputError, match="different ones, expected 2"):
        targets.head(column(*cells), FACTS, None, None)


def test_a_near_miss_is_suggested():
    _, facts = headed("positive", "negative")
    assert targets.learned(column("postive"), facts)[1] == {
        0: "no such label is learned: 'postive'; did you mean 'positive'?"
    }
