"""No answer or the best span: the threshold between them that is best on the rows of a run."""

import numpy as np
import pyarrow as pa
import pytest

from labelmill.evaluation import choosing
from labelmill.evaluation.abstention import AbstainingScorer, best_threshold
from labelmill.evaluation.measuring import measured
from labelmill.evaluation.statistics import TextScorer
from labelmill.ops import answers
from labelmill.ops.answers import NOWHERE, Spans

ADDED = pa.schema([("answer", pa.string()), ("answers", pa.list_(pa.struct([])))])


def answer(text: str, score: float) -> dict[str, object]:
    start = 3 if text else None
    return {"answer": text, "score": score, "start": start, "end": start and 3 + len(text)}


def told(rows):
    """What is said of rows of (the list of answers, gold answers); the first answer was given."""
    scorer = AbstainingScorer()
    given = [listed[0]["answer"] if listed else None for listed, _ in rows]
    table = pa.table({"answer": given, "answers": [listed for listed, _ in rows]})
    scorer.add(table, pa.array([golds for _, golds in rows], pa.list_(pa.string())))
    return measured(scorer.scored(), 0, 0)


def test_threshold_is_the_best_of_all_there_are_and_gives_what_it_says():
    random = np.random.default_rng(3)
    for rows in (1, 2, 7, 60):
        margins = random.integers(-4, 4, rows).astype(float)  # many equal ones
        nones = random.integers(0, 2, rows).astype(float)
        spans = random.random(rows) * (1 - nones)

        threshold, value = best_threshold(margins, nones, spans)

        def mean(at: float, margins=margins, nones=nones, spans=spans) -> float:
            return float(np.where(margins > at, nones, spans).mean())

        assert value == pytest.approx(max(map(mean, np.arange(-5, 5, 0.5))))
        assert value == pytest.approx(mean(threshold))


def test_threshold_does_in_a_job_what_it_did_here():
    """The job's own rule, on the scores that the margins come from."""
    random = np.random.default_rng(4)
    scores, nothing = np.log(random.random(40)), np.log(random.random(40))
    nones, spans = random.random(40), random.random(40)
    threshold, value = best_threshold(nothing - scores, nones, spans)
    places = np.arange(40)

    found = answers.with_no_answer(
        Spans(rows=places, starts=places, ends=places + 1, scores=scores), nothing, threshold, 1
    )

    assert value == pytest.approx(np.where(found.starts == NOWHERE, nones, spans).mean())


def test_metrics_are_those_of_what_was_given_and_the_table_says_what_could_be():
    metrics, found = told([
        ([answer("", 0.5), answer("cat", 0.4)], ["cat"]),
        ([answer("", 0.5), answer("a dog", 0.3)], ["dog", "hound"]),
        ([answer("cow", 0.5), answer("", 0.1)], []),
        ([answer("", 0.9), answer("pig", 0.1)], []),
    ])  # fmt: skip

    assert metrics["f1"].value == pytest.approx(0.25)
    assert metrics["f1_answerable"].value == 0.0
    (table,) = found.tables
    best = {row["metric"]: row for row in table.records()}
    assert best["f1"]["best_value"] == pytest.approx(0.75)
    middle = (np.log(0.5 / 0.3) + np.log(0.9 / 0.1)) / 2  # between the second row and the last
    assert best["f1"]["best_threshold"] == pytest.approx(middle)
    assert found.notes == ("2 rows have no gold answer",)


def test_rows_without_span_or_without_no_answer_keep_what_they_have():
    _, found = told([
        (None, []),
        ([answer("cow", 0.5)], []),
        ([answer("", 0.5), answer("cat", 0.0)], ["cat"]),
        ([answer("", 0.5), answer("cat", 0.4)], ["cat"]),
    ])  # fmt: skip

    best = {row["metric"]: row for row in found.tables[0].records()}
    assert best["exact_match"]["best_value"] == pytest.approx(0.5)
    assert best["exact_match"]["best_threshold"] == pytest.approx(np.log(0.5 / 0.4) + 1.0)
    assert any("1 rows do not list no answer" in note for note in found.notes)


def test_there_is_no_table_where_every_row_has_a_gold_answer():
    assert told([([answer("cat", 0.5), answer("", 0.1)], ["cat"])])[1].tables == ()


def test_it_is_for_runs_that_may_abstain_and_list_their_answers():
    def scorer_of(**settings: object) -> object:
        return choosing.scorer(ADDED, settings, (), None)

    assert isinstance(scorer_of(**{"options.no_answer": True}), AbstainingScorer)
    assert isinstance(scorer_of(**{"options.no_answer": False}), TextScorer)
