"""Scores: probabilities and their Arrow columns."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from labelmill.ops import scores

LABELS = ("a", "b", "c")
logits = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-1e4, 1e4, width=32),
)


@given(logits)
def test_softmax_any_logits_sums_to_one_and_keeps_the_order(values):
    found = scores.softmax(values)
    assert found.dtype == np.float32
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
    of_the_highest = np.take_along_axis(found, values.argmax(axis=1)[:, np.newaxis], axis=1)
    assert np.array_equal(of_the_highest[:, 0], found.max(axis=1))


@given(logits)
def test_sigmoid_any_logits_equals_its_definition_in_double(values):
    exact = 1 / (1 + np.exp(-np.clip(values.astype(np.float64), -700, 700)))
    found = scores.sigmoid(values)
    assert found.dtype == np.float32
    assert np.allclose(found, exact, atol=1e-6)


def test_softmax_half_precision_logits_is_computed_in_float32():
    halves = np.array([[1, 2, 3]], dtype=np.float16)
    assert np.array_equal(scores.softmax(halves), scores.softmax(halves.astype(np.float32)))


def test_best_equal_scores_takes_the_first_label():
    label, score = scores.best(np.float32([[0.5, 0.5, 0], [0.1, 0.2, 0.7]]), LABELS)
    assert label.to_pylist() == ["a", "c"]
    assert score.type == pa.float32()


@pytest.mark.parametrize(("count", "kept"), [(1, 1), (2, 2), (3, 3), (9, 3)])
def test_ranked_k_labels_gives_the_k_best_in_descending_order(count, kept):
    found = scores.ranked(np.float32([[0.25, 0.5, 0.25]]), LABELS, count).to_pylist()
    whole = [
        {"label": "b", "score": 0.5},
        {"label": "a", "score": 0.25},
        {"label": "c", "score": 0.25},
    ]
    assert found == [whole[:kept]]


def test_ranked_no_rows_has_the_declared_type():
    assert scores.ranked(np.zeros((0, 3), np.float32), LABELS, 3).type == scores.SCORED


def test_at_least_threshold_itself_counts_and_no_label_is_an_empty_list():
    given_scores = np.float32([[0.5, 0.9, 0.1], [0.1, 0.2, 0.3]])
    names, values = scores.at_least(given_scores, LABELS, 0.5)
    assert names.to_pylist() == [["b", "a"], []]
    assert values.to_pylist() == [pytest.approx([0.9, 0.5]), []]


def test_at_least_threshold_not_exact_in_binary_counts_too():
    names, _ = scores.at_least(np.float32([[0.1]]), ("a",), 0.1)
    assert names.to_pylist() == [["a"]]


def test_lists_rows_of_numbers_keeps_their_order():
    assert scores.lists(np.float32([[1, 2], [3, 4]])).to_pylist() == [[1, 2], [3, 4]]
