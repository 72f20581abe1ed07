"""text-classification where the job knows better than config.json what the labels are."""

import numpy as np
import pytest

from labelmill.errors import ConfigError
from labelmill.tasks.text_classification import TextClassification
from labelmill.tasks.text_classification import TextClassificationOptions as Options
from tests.support.labelling import known, label
from tests.support.models import tiny_classifier

TASK = TextClassification()
TEXTS = ["the film was great", "", "terrible service, slow and dull!", "never good " * 200]
NAMES = ("anger", "joy", "fear")
MULTI = "multi_label_classification"


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> str:
    """Its config is silent, so its three labels exclude each other."""
    return tiny_classifier(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def logits(path) -> np.ndarray:
    options = Options(problem_type="regression")
    return np.array(label(path, TASK, {"text": TEXTS}, options)["score"].to_pylist())


def test_problem_type_of_the_job_wins_over_the_models(path, logits):
    options = Options(problem_type=MULTI, scores="all", threshold=0.3)
    table = label(path, TASK, {"text": TEXTS}, options)
    assert table.schema == TASK.schema(known(path)[0], options)
    for row, found in zip(table.to_pylist(), 1 / (1 + np.exp(-logits)), strict=True):
        scores = {entry["label"]: entry["score"] for entry in row["scores"]}
        names = ["label a", "label b", "label c"]
        assert scores == pytest.approx(dict(zip(names, found, strict=True)), abs=1e-5)
        assert set(row["label"]) == {name for name, score in scores.items() if score >= 0.3}


def test_labels_of_the_job_are_the_models_in_the_order_of_their_ids(path):
    ours = label(path, TASK, {"text": TEXTS}, Options(labels=NAMES, scores="all"))
    theirs = label(path, TASK, {"text": TEXTS}, Options(scores="all"))
    renamed = dict(zip(["label a", "label b", "label c"], NAMES, strict=True))
    assert ours["label"].to_pylist() == [renamed[name] for name in theirs["label"].to_pylist()]
    assert ours["score"] == theirs["score"]
    for one, other in zip(ours["scores"].to_pylist(), theirs["scores"].to_pylist(), strict=True):
        assert [entry["label"] for entry in one] == [renamed[entry["label"]] for entry in other]


def test_threshold_of_each_label_is_its_own_and_a_half_for_others(path, logits):
    scores = 1 / (1 + np.exp(-logits))
    joy, fear = (float(np.sort(scores[:, number])[1:3].mean()) for number in (1, 2))
    options = Options(labels=NAMES, problem_type=MULTI, threshold={"joy": joy, "fear": fear})
    found = label(path, TASK, {"text": TEXTS}, options)["label"].to_pylist()
    for row, given in zip(found, scores >= [0.5, joy, fear], strict=True):
        assert set(row) == {name for name, is_given in zip(NAMES, given, strict=True) if is_given}
    assert len({tuple(sorted(row)) for row in found}) > 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(labels=("a", "b")), r"options\.labels: .* 2 different names, expected 3"),
        (Options(labels=NAMES, problem_type="regression"), r"options\.labels: .* numbers"),
        (Options(threshold={"label a": 0.2}), r"options\.threshold: .* 'single_label"),
        (
            Options(labels=NAMES, problem_type=MULTI, threshold={"joi": 0.2}),
            r"options\.threshold: this model has no label 'joi'; did you mean 'joy'",
        ),
        (
            Options(problem_type=MULTI, threshold={"zzz": 0.2}),
            r"no label 'zzz'; it has 'label a', 'label b', 'label c'",
        ),
    ],
)
def test_options_that_do_not_fit_the_model_are_refused(path, options, words):
    with pytest.raises(ConfigError, match=words):
        TASK.schema(known(path)[0], options)
