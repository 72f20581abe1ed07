"""Hypotheses: which logit means what, by hand."""

import numpy as np
import pytest

from labelmill.errors import ModelError
from labelmill.ops import hypotheses

THREE = ("contradiction", "neutral", "Entailment")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(THREE, 2), (("ENTAIL", "not_entailment"), 0), (("positive", "negative"), None), ((), None)],
)
def test_entailment_is_found_by_its_name(labels, expected):
    assert hypotheses.entailment(labels) == expected


def test_label_scores_together_weigh_entailments_against_each_other():
    logits = np.log(np.array([[9, 9, 1], [9, 9, 3], [2, 7, 5], [1, 1, 5]], np.float32))
    found = hypotheses.label_scores(logits, THREE, 2, together=True)
    assert found == pytest.approx(np.array([[0.25, 0.75], [0.5, 0.5]]), abs=1e-6)


def test_label_scores_apart_weigh_each_entailment_against_its_contradiction():
    logits = np.log(np.array([[1, 9, 3], [3, 9, 1]], np.float32))
    found = hypotheses.label_scores(logits, THREE, 2, together=False)
    assert found == pytest.approx(np.array([[0.75, 0.25]]), abs=1e-6)


def test_label_scores_of_a_single_label_are_never_all_one():
    logits = np.log(np.array([[1, 9, 3]], np.float32))
    found = hypotheses.label_scores(logits, THREE, 1, together=True)
    assert found == pytest.approx(np.array([[0.75]]), abs=1e-6)


def test_label_scores_entailment_first_has_its_contradiction_last():
    logits = np.log(np.array([[3, 9, 1]], np.float32))
    labels = ("entailment", "neutral", "contradiction")
    found = hypotheses.label_scores(logits, labels, 1, together=False)
    assert found == pytest.approx(np.array([[0.75]]), abs=1e-6)


def test_label_scores_another_number_of_logits_is_refused():
    with pytest.raises(ModelError, match="expected 3"):
        hypotheses.label_scores(np.zeros((4, 2), np.float32), THREE, 2, together=True)
