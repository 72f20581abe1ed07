"""Answers of reading data sets: spans of characters, then the tokens of windows."""

import json

import numpy as np
import pyarrow as pa
import pytest

from labelmill.batch import Encoded
from labelmill.ops.answer_places import learned, spans, texts
from labelmill.ops.question_windows import NO_ANSWER, OUTSIDE
from labelmill.tasks.question_answering import QuestionAnswering

CONTEXT = "the fox saw the dog"


def squad(text: object, start: object) -> str:
    return json.dumps({"text": text, "answer_start": start})


def test_the_first_answer_of_squad_is_taken():
    found, errors = spans(
        [CONTEXT] * 2, [squad(["fox", "dog"], [4, 16]), squad([], [])], None, None
    )
    assert found == [(4, 7), (0, 0)]
    assert errors == {}


def test_a_text_that_is_there_once_needs_no_start():
    found, errors = spans([CONTEXT] * 3, None, ["dog", "", "the"], None)
    assert found == [(16, 19), (0, 0), (0, 0)]
    assert "2 times" in errors[2]
    found, errors = spans([CONTEXT], None, ["the"], ["12"])
    assert (found, errors) == ([(12, 15)], {})


def test_white_space_at_the_edges_is_no_answer():
    assert spans([CONTEXT], [squad([" fox "], [3])], None, None) == ([(4, 7)], {})
    assert spans([CONTEXT], [squad([" "], [3])], None, None) == ([(0, 0)], {})


def test_blank_answers_are_none_for_learning_and_for_gold():
    """A blank one among others counts for nothing."""
    answers = [squad(["  "], [3]), squad(["", "fox", " "], [0, 4, 0]), squad([], [])]
    found, errors = spans([CONTEXT] * 3, answers, None, None)
    assert (found, errors) == ([(0, 0), (4, 7), (0, 0)], {})
    assert texts(answers).to_pylist() == [[], ["fox"], []]
    null = [squad(None, None)]
    assert spans([CONTEXT], null, None, None) == ([(0, 0)], {})
    assert texts(null).to_pylist() == [[]]
    plain = ["  ", "fox", ""]
    assert spans([CONTEXT] * 3, None, plain, None) == (found, {})
    gold = QuestionAnswering().gold({"answer": pa.chunked_array([plain])})
    assert gold.to_pylist() == [[], ["fox"], []]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (squad(["fox"], [5]), "is not at 5: there is 'ox '"),
        (squad(["fox"], [-15]), "is not at -15"),
        (squad(["dog!"], [16]), "is not at 16"),
        (squad(["fox"], []), "both of one length"),
        ("[1]", "expected"),
        ("fox", "expected"),
        ('{"text": [1], "answer_start": [0]}', "whole numbers"),
        (squad("fox", [4]), "both of one length"),
        (squad("fox", 4), "both of one length"),
        (squad(None, [1]), "both of one length"),
        (squad(["fox", 1], [4, 0]), "whole numbers"),
        (squad(["fox", None], [4, 0]), "whole numbers"),
        (squad(["fox", "dog"], [4, None]), "whole numbers"),
        (squad(["the"], [False]), "whole numbers"),
        ("[" * 100_000, "expected"),
    ],
)
def test_what_is_no_answer_is_told(answers, reason):
    _, errors = spans([CONTEXT], [answers], None, None)
    assert reason in errors[0]


def test_a_start_must_be_a_number():
    _, errors = spans([CONTEXT], None, ["fox"], ["four"])
    assert "expected a whole number" in errors[0]


def test_a_start_may_be_missing_as_files_have_it():
    """Pandas writes a column of numbers of which some are missing with points, and NaN."""
    answers, starts = ["the", "", "fox", ""], ["12.0", "", "NaN", "NaN"]
    found, errors = spans([CONTEXT] * 4, None, answers, starts)
    assert (found, errors) == ([(12, 15), (0, 0), (4, 7), (0, 0)], {})
    _, errors = spans([CONTEXT], None, ["fox"], ["4.5"])
    assert "expected a whole number" in errors[0]


def windows(no_answer: int = NO_ANSWER) -> Encoded:
    """[class] question | the fox saw, and [class] question | saw the dog, of one row."""
    start = [no_answer, OUTSIDE, 0, 4, 8, no_answer, OUTSIDE, 8, 12, 16]
    end = [no_answer, OUTSIDE, 3, 7, 11, no_answer, OUTSIDE, 11, 15, 19]
    return Encoded(
        rows=np.zeros(2, np.int32),
        lengths=np.array([5, 5], np.int32),
        inputs={"input_ids": np.arange(10, dtype=np.int32)},
        marks={"start": np.array(start, np.int32), "end": np.array(end, np.int32)},
    )


def positions(examples) -> list[tuple[int, int]]:
    starts, ends = (examples.targets[f"{name}_positions"] for name in ("start", "end"))
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((4, 7), [(3, 3), (0, 0)]),  # in the first window alone
        ((4, 11), [(3, 4), (0, 0)]),
        ((8, 11), [(4, 4), (2, 2)]),  # in the overlap
        ((12, 19), [(0, 0), (3, 4)]),
        ((17, 18), [(0, 0), (4, 4)]),  # inside of a token
        ((0, 0), [(0, 0), (0, 0)]),  # no answer
    ],
)
def test_windows_point_to_the_answer_or_to_the_class(answer, expected):
    assert positions(learned(windows(), [answer], {})) == expected


def test_an_answer_that_is_whole_in_no_window_is_an_error():
    examples = learned(windows(), [(4, 15)], {})
    assert "whole in no window" in examples.encoded.errors[0]
    assert len(examples.encoded) == 0


def test_without_a_class_token_only_windows_with_the_answer_are_learned():
    examples = learned(windows(OUTSIDE), [(4, 7)], {})
    assert positions(examples) == [(3, 3)]
    assert examples.encoded.inputs["input_ids"].tolist() == [0, 1, 2, 3, 4]
    none = learned(windows(OUTSIDE), [(0, 0)], {})
    assert "no token of this model to point to" in none.encoded.errors[0]


def test_rows_that_are_bad_already_are_not_learned():
    examples = learned(windows(), [(4, 7)], {0: "why"})
    assert dict(examples.encoded.errors) == {0: "why"}
    assert len(examples.encoded) == 0
