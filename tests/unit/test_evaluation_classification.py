"""Metrics of classifiers: worked by hand, and against scikit-learn."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics

from labelmill.errors import ConfigError
from labelmill.evaluation import calibration, rankings
from labelmill.evaluation.classification import ClassificationScorer
from labelmill.evaluation.labels import GoldLabels
from labelmill.evaluation.multi_label import MultiLabelScorer
from labelmill.evaluation.scored import Scored
from tests.support.labelled_runs import scored as listed


def counted(scored: Scored) -> dict[str, float]:
    return scored.counted(np.bincount(scored.patterns, minlength=scored.kinds))


def classes(gold: list, label: list[str], scores: list | None = None, **settings) -> Scored:
    columns = {"label": label, "score": pa.array([0.9] * len(label), pa.float32())}
    if scores is not None:
        columns["scores"] = listed(scores)
    given = GoldLabels(settings.get("names", ()), settings.get("ordered", ()))
    scorer = ClassificationScorer(given, listed=scores is not None)
    for piece in (slice(0, 2), slice(2, None)):
        table = pa.table(columns)
        scorer.add(
            table.slice(piece.start, None if piece.stop is None else 2), pa.array(gold)[piece]
        )
    return scorer.scored()


def test_hand_worked_metrics():
    # gold a a a b b c, label a a b b c c
    found = counted(classes(list("aaabbc"), list("aabbcc")))
    # precision a 2/2 b 1/2 c 1/2; recall a 2/3 b 1/2 c 1/1; F1 a 4/5 b 1/2 c 2/3
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["precision_macro"] == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    assert found["recall_macro"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert found["f1_macro"] == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)
    assert found["f1_weighted"] == pytest.approx((3 * 4 / 5 + 2 * 1 / 2 + 2 / 3) / 6)


@pytest.mark.parametrize("seed", range(5))
def test_metrics_are_those_of_scikit_learn(seed):
    drawn = np.random.default_rng(seed)
    gold, label = (drawn.choice(list("abcde"), 40, p=[0.5, 0.3, 0.1, 0.08, 0.02]) for _ in "12")
    found = counted(classes(gold.tolist(), label.tolist()))
    for name, average in (
        ("f1_macro", "macro"),
        ("f1_micro", "micro"),
        ("f1_weighted", "weighted"),
    ):
        expected = metrics.f1_score(gold, label, average=average, zero_division=0)
        assert found[name] == pytest.approx(expected)
    assert found["matthews_correlation"] == pytest.approx(metrics.matthews_corrcoef(gold, label))
    precision = metrics.precision_score(gold, label, average="macro", zero_division=0)
    assert found["precision_macro"] == pytest.approx(precision)


def test_tables_have_every_label_and_every_mistake():
    tables = {table.name: table for table in classes(list("aab"), list("aba")).told().tables}
    assert tables["classes"].records()[0] == {
        "label": "a", "precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2, "given": 2,
    }  # fmt: skip
    assert tables["confusion"].rows == (("a", 1, 1), ("b", 1, 0))
    assert set(tables["confusions"].rows) == {("a", "b", 1), ("b", "a", 1)}


def test_rankings_are_those_of_scikit_learn():
    drawn = np.random.default_rng(0)
    scores = drawn.dirichlet([1, 1, 1], 50).astype(np.float32)
    gold = drawn.integers(0, 3, 50)
    rows = [dict(zip("abc", row.tolist(), strict=True)) for row in scores]
    scored = classes(
        [*np.array(list("abc"))[gold]], [*np.array(list("abc"))[scores.argmax(1)]], rows
    )
    found = scored.ranked(np.arange(50))
    areas = [metrics.roc_auc_score(gold == n, scores[:, n]) for n in range(3)]
    assert found["roc_auc"] == pytest.approx(np.mean(areas))
    means = [metrics.average_precision_score(gold == n, scores[:, n]) for n in range(3)]
    assert found["average_precision"] == pytest.approx(np.mean(means))


def test_curves_are_those_of_scikit_learn_where_scores_are_tied():
    drawn = np.random.default_rng(3)
    scores = (drawn.integers(0, 5, (40, 3)) / 5).astype(np.float32)
    gold = drawn.random((40, 3)) < [0.2, 0.5, 0.9]
    for right, given in zip(gold.T, scores.T, strict=True):
        area, precision = rankings.curves(right, given)
        assert area == pytest.approx(metrics.roc_auc_score(right, given))
        assert precision == pytest.approx(metrics.average_precision_score(right, given))


def test_without_all_scores_rankings_are_left_out_and_told():
    scored = classes(list("ab"), list("ab"))
    assert set(scored.ranked(np.arange(2))) == {"expected_calibration_error"}
    assert "options.scores: all" in scored.told().left_out["roc_auc"]


def test_gold_label_that_the_model_never_gives_counts_as_wrong_and_is_told():
    scored = classes(["a", "Z", "a"], ["a", "a", "a"])
    assert counted(scored)["accuracy"] == pytest.approx(2 / 3)
    (note,) = scored.told().notes
    assert "'Z'" in note
    assert "1 of 2" in note


def test_gold_label_without_scores_is_not_ranked():
    rows = [{"a": 0.9, "b": 0.1}, {"a": 0.2, "b": 0.8}, {"a": 0.3, "b": 0.7}]
    found = classes(["a", "b", "Z"], ["a", "b", "b"], rows).ranked(np.arange(3))
    assert found["roc_auc"] == pytest.approx((1.0 + 1.0) / 2)


def test_best_threshold_is_worked_out():
    gold = np.array([[True], [False], [True], [False]])
    scores = np.array([[0.9], [0.6], [0.4], [0.1]], np.float32)
    (row,) = rankings.thresholds(gold, scores, ["a"]).records()
    # From 0.4 on: 2 right of 3, both found: F1 0.8; from 0.9 on: 1 of 1, half found: F1 2/3.
    assert (row["best_threshold"], row["best_f1"]) == (pytest.approx(0.4), pytest.approx(0.8))
    assert row["roc_auc"] == pytest.approx(0.75)


def test_calibration_is_worked_out():
    scores = np.array([0.95, 0.95, 0.55, 0.55], np.float32)
    right = np.array([True, False, True, True])
    # Two bins of two rows: |0.5 - 0.95| and |1 - 0.55|.
    assert calibration.expected_error(scores, right) == pytest.approx(0.45)
    rows = calibration.reliability(scores, right).records()
    assert [(row["rows"], row["accuracy"]) for row in rows] == [(2, 1.0), (2, 0.5)]


def test_score_of_one_is_in_the_last_bin():
    (row,) = calibration.reliability(np.ones(3, np.float32), np.ones(3, np.bool_)).records()
    assert (row["rows"], row["to"]) == (3, 1.0)


@pytest.mark.parametrize(
    ("gold", "label"),
    [
        ([0, 1, 1], ["0", "1", "0"]),
        ([0, 1, 1], ["LABEL_0", "LABEL_1", "LABEL_0"]),
        ([False, True, True], ["0", "1", "0"]),
        ([0.0, 1.0, 1.0], ["0", "1", "0"]),
        (["0", "1", "1"], ["LABEL_0", "LABEL_1", "LABEL_0"]),
    ],
)
def test_gold_numbers_find_their_names(gold, label):
    assert counted(classes(gold, label))["accuracy"] == pytest.approx(2 / 3)


def test_gold_numbers_take_names_from_the_command_line_and_from_the_job():
    for given in ({"names": ("neg", "pos")}, {"ordered": ("neg", "pos")}):
        found = counted(classes([0, 1, 1], ["neg", "pos", "neg"], **given))
        assert found["accuracy"] == pytest.approx(2 / 3)


def test_gold_numbers_that_could_mean_anything_are_refused():
    with pytest.raises(ConfigError, match=r"--names"):
        classes([0, 1, 1], ["neg", "pos", "neg"])
    with pytest.raises(ConfigError, match=r"label 2 has no name"):
        classes([0, 2, 1], ["neg", "pos", "neg"], names=("neg", "pos"))
    with pytest.raises(ConfigError, match=r"no whole number"):
        classes([0.5, 1.0, 1.0], ["0", "1", "0"])
    with pytest.raises(ConfigError, match=r"remove it"):
        classes(["a", "b", "b"], ["a", "b", "b"], names=("a", "b"))


def sets(gold: list, label: list, scores: list | None = None) -> Scored:
    columns = {"label": pa.array(label, pa.list_(pa.string()))}
    if scores is not None:
        columns["scores"] = listed(scores)
    scorer = MultiLabelScorer(GoldLabels((), ()), listed=scores is not None)
    scorer.add(pa.table(columns), pa.array(gold))
    return scorer.scored()


def test_multi_label_metrics_worked_by_hand():
    found = counted(sets([["a", "b"], ["a"], []], [["a"], ["a", "b"], []]))
    # a: 2 right of 2 and 2; b: none right, 1 given, 1 gold.
    assert found["subset_accuracy"] == pytest.approx(1 / 3)
    assert found["f1_micro"] == pytest.approx(2 * 2 / (3 + 3))
    assert found["f1_macro"] == pytest.approx((1 + 0) / 2)
    assert found["hamming_loss"] == pytest.approx(2 / 6)


def test_multi_label_metrics_are_those_of_scikit_learn():
    drawn = np.random.default_rng(1)
    gold, label = drawn.random((30, 4)) < 0.4, drawn.random((30, 4)) < 0.4
    values = drawn.random((30, 4)).astype(np.float32)
    names = np.array(list("abcd"))
    scored = sets(
        [names[row].tolist() for row in gold],
        [names[row].tolist() for row in label],
        [dict(zip("abcd", row.tolist(), strict=True)) for row in values],
    )
    found = counted(scored) | scored.ranked(np.arange(30))
    assert found["subset_accuracy"] == pytest.approx(metrics.accuracy_score(gold, label))
    assert found["f1_micro"] == pytest.approx(metrics.f1_score(gold, label, average="micro"))
    assert found["f1_macro"] == pytest.approx(metrics.f1_score(gold, label, average="macro"))
    assert found["hamming_loss"] == pytest.approx(metrics.hamming_loss(gold, label))
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(gold, values, average="macro"))


def test_multi_label_gold_of_nothing_but_empty_lists():
    gold = pa.array([[], []], pa.list_(pa.null()))
    scorer = MultiLabelScorer(GoldLabels((), ()), listed=False)
    scorer.add(pa.table({"label": pa.array([["a"], []], pa.list_(pa.string()))}), gold)
    values = counted(scorer.scored())
    assert (values["subset_accuracy"], values["precision_micro"]) == (0.5, 0.0)


def test_multi_label_wants_lists_as_gold():
    with pytest.raises(ConfigError, match="expected a list of labels"):
        sets(["a"], [["a"]])
