"""Spans of answers: worked by hand, and against the slow and obvious way."""

import math
import tracemalloc

import numpy as np
import pytest

from labelmill.batch import Encoded
from labelmill.ops import answers
from labelmill.ops.answers import NOWHERE, Spans
from labelmill.ops.question_windows import NO_ANSWER, OUTSIDE

LOW = -30.0  # a logit whose probability is next to nothing


def windows(*rows: tuple[int, list[tuple[int, int]]]) -> Encoded:
    """Windows of rows: [CLS], a question of one token, [SEP], the context's tokens, [SEP]."""
    starts, ends, numbers, lengths = [], [], [], []
    for row, places in rows:
        edge = [(NO_ANSWER, NO_ANSWER), (OUTSIDE, OUTSIDE), (OUTSIDE, OUTSIDE)]
        every = [*edge, *places, (OUTSIDE, OUTSIDE)]
        numbers.append(row)
        lengths.append(len(every))
        starts += [start for start, _ in every]
        ends += [end for _, end in every]
    return Encoded(
        rows=np.array(numbers, np.int32),
        lengths=np.array(lengths, np.int32),
        marks={"start": np.array(starts, np.int32), "end": np.array(ends, np.int32)},
    )


def listed(spans: Spans) -> list[tuple[int, int, int, float]]:
    return [
        (row, start, end, math.exp(score))
        for row, start, end, score in zip(
            spans.rows.tolist(),
            spans.starts.tolist(),
            spans.ends.tolist(),
            spans.scores.tolist(),
            strict=True,
        )
    ]


def softmax(logits: list[float]) -> list[float]:
    exponents = [math.exp(one - max(logits)) for one in logits]
    return [one / sum(exponents) for one in exponents]


def slow(
    start: np.ndarray, end: np.ndarray, encoded: Encoded, longest: int, count: int
) -> tuple[list[tuple[int, int, int, float]], dict[int, float]]:
    """Every pair of tokens of every window, in plain Python."""
    found: dict[tuple[int, int, int], float] = {}
    nothing: dict[int, float] = {}
    for window, row in enumerate(encoded.rows.tolist()):
        inside = slice(encoded.offsets[window], encoded.offsets[window + 1])
        begins, stops = encoded.marks["start"][inside], encoded.marks["end"][inside]
        kept = [at for at, begin in enumerate(begins) if begin != OUTSIDE]
        firsts = dict(zip(kept, softmax([start[inside][at] for at in kept]), strict=True))
        lasts = dict(zip(kept, softmax([end[inside][at] for at in kept]), strict=True))
        for first in kept:
            if begins[first] == NO_ANSWER:
                score = firsts[first] * lasts[first]
                nothing[row] = min(nothing.get(row, 2.0), score)
                continue
            for last in kept:
                solid = stops[first] > begins[first] and stops[last] > begins[last]
                if solid and begins[last] >= 0 and first <= last < first + longest:
                    key = (row, int(begins[first]), int(stops[last]))
                    found[key] = max(found.get(key, 0.0), firsts[first] * lasts[last])
    ordered = sorted(found.items(), key=lambda item: (item[0][0], -item[1], item[0]))
    best = []
    for row in sorted({key[0] for key in found}):
        best += [(*key, score) for key, score in ordered if key[0] == row][:count]
    return best, nothing


# By hand


def test_best_score_is_the_product_of_start_and_end_over_context_and_cls():
    encoded = windows((0, [(0, 3), (4, 8), (9, 12)]))
    start = np.log(np.array([1, 50, 50, 2, 6, 1, 50], np.float32))
    end = np.log(np.array([2, 50, 50, 1, 2, 5, 50], np.float32))
    spans, nothing = answers.best(start, end, encoded, longest=3, count=1)
    assert listed(spans) == [(0, 4, 12, pytest.approx(6 / 10 * 5 / 10))]
    assert np.exp(nothing) == pytest.approx([1 / 10 * 2 / 10])


def test_best_end_before_start_is_never_an_answer():
    encoded = windows((0, [(0, 3), (4, 8)]))
    start = np.array([LOW, 0, 0, LOW, 5, 0], np.float32)
    end = np.array([LOW, 0, 0, 5, LOW, 0], np.float32)
    spans, _ = answers.best(start, end, encoded, longest=9, count=9)
    assert {(start, end) for _, start, end, _ in listed(spans)} == {(0, 3), (0, 8), (4, 8)}


@pytest.mark.parametrize(
    ("longest", "expected"), [(1, (0, 1)), (2, (0, 1)), (3, (0, 5)), (99, (0, 5))]
)
def test_best_span_has_at_most_so_many_tokens(longest, expected):
    encoded = windows((0, [(0, 1), (2, 3), (4, 5)]))
    start = np.array([LOW, 0, 0, 5, LOW, LOW, 0], np.float32)
    end = np.array([LOW, 0, 0, 1, LOW, 5, 0], np.float32)
    spans, _ = answers.best(start, end, encoded, longest=longest, count=1)
    assert listed(spans)[0][1:3] == expected


def test_best_span_in_two_windows_counts_once_with_its_higher_score():
    encoded = windows((0, [(0, 1), (2, 3)]), (0, [(2, 3), (4, 5)]))
    start = np.array([0, 0, 0, LOW, 0, 0, LOW, 0, 0, 0, LOW, 0], np.float32)
    spans, nothing = answers.best(start, start, encoded, longest=5, count=5)
    assert listed(spans)[0] == (0, 2, 3, pytest.approx(1.0))
    assert [found[1:3] for found in listed(spans)].count((2, 3)) == 1
    assert np.exp(nothing[0]) < 1e-20, "one window without an answer says nothing of the row"


def test_best_spans_from_two_pieces_of_one_character_are_one_answer():
    encoded = windows((0, [(0, 1), (0, 1), (0, 1), (1, 3)]))
    start = np.array([LOW, 0, 0, 1, 2, 3, LOW, 0], np.float32)
    end = np.array([LOW, 0, 0, 3, 2, 1, LOW, 0], np.float32)
    spans, _ = answers.best(start, end, encoded, longest=5, count=3)
    places = [found[1:3] for found in listed(spans)]
    assert sorted(places) == [(0, 1), (0, 3), (1, 3)]
    assert places[0] == (0, 1)


def test_best_token_of_white_space_alone_bounds_no_answer():
    encoded = windows((0, [(0, 2), (2, 2), (3, 5)]))
    start = np.array([LOW, 0, 0, LOW, 9, 1, 0], np.float32)
    spans, _ = answers.best(start, start, encoded, longest=5, count=9)
    assert {found[1:3] for found in listed(spans)} == {(0, 2), (0, 5), (3, 5)}


def test_best_equal_scores_come_in_the_order_of_the_text():
    encoded = windows((0, [(0, 1), (2, 3), (4, 5)]))
    level = np.zeros(7, np.float32)
    spans, _ = answers.best(level, level, encoded, longest=2, count=4)
    assert [found[1:3] for found in listed(spans)] == [(0, 1), (0, 3), (2, 3), (2, 5)]


def test_best_a_row_whose_windows_are_not_finite_has_no_span():
    encoded = windows((0, [(0, 1)]), (1, [(0, 1)]), (3, [(0, 1)]))
    start = np.zeros(15, np.float32)
    start[3], start[8] = np.nan, np.inf
    spans, nothing = answers.best(start, np.zeros(15, np.float32), encoded, longest=2, count=2)
    assert spans.rows.tolist() == [3]
    assert np.isfinite(nothing).tolist() == [False, False, False, True]


def test_best_no_windows_give_no_spans():
    none = np.zeros(0, np.float32)
    spans, nothing = answers.best(none, none, windows(), longest=2, count=2)
    assert len(spans.rows) == 0
    assert len(nothing) == 0


# Against the slow way


@pytest.mark.parametrize("seed", range(12))
def test_best_equals_every_pair_of_every_window(seed, monkeypatch):
    monkeypatch.setattr(answers, "_BLOCK", int(np.random.default_rng(seed).choice([1, 20, 10**6])))
    dice = np.random.default_rng(seed)
    rows = []
    for row in sorted(dice.integers(0, 6, 12).tolist()):
        starts = np.sort(dice.integers(0, 12, dice.integers(1, 15)))  # some share a character
        rows.append((row, [(int(at), int(at + dice.integers(0, 4))) for at in starts]))
    encoded = windows(*rows)
    # Few different values, so that there are ties.
    start, end = (dice.integers(-3, 4, int(encoded.lengths.sum())) * 0.5 for _ in range(2))
    for longest, count in [(1, 1), (2, 3), (5, 1), (7, 4), (30, 1000)]:
        spans, nothing = answers.best(
            start.astype(np.float32), end.astype(np.float32), encoded, longest=longest, count=count
        )
        expected, none = slow(start, end, encoded, longest, count)
        found = listed(spans)
        assert [one[0] for one in found] == [one[0] for one in expected]
        assert [one[3] for one in found] == pytest.approx([one[3] for one in expected])
        # Sums of logarithms and products round apart: ties are compared as sets of places.
        every = dict_of(slow(start, end, encoded, longest, 10**6)[0])
        assert all(every[one[:3]] == pytest.approx(one[3]) for one in found)
        assert len({one[:3] for one in found}) == len(found)
        assert {row: math.exp(nothing[row]) for row in none} == pytest.approx(none)


def dict_of(found: list[tuple[int, int, int, float]]) -> dict[tuple[int, int, int], float]:
    return {one[:3]: one[3] for one in found}


def test_best_memory_grows_with_tokens_not_with_their_square():
    size = 20_000
    encoded = windows((0, [(at, at + 1) for at in range(size)]))
    logits = np.random.default_rng(0).normal(size=int(encoded.lengths.sum())).astype(np.float32)
    tracemalloc.start()
    answers.best(logits, logits[::-1], encoded, longest=30, count=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400 * size


# No answer


def some(*found: tuple[int, int, int, float]) -> Spans:
    rows, starts, ends, scores = (np.array(column) for column in zip(*found, strict=True))
    return Spans(rows=rows, starts=starts, ends=ends, scores=np.log(scores))


@pytest.mark.parametrize(
    ("threshold", "first"), [(0.0, NOWHERE), (0.6, NOWHERE), (math.log(2) + 1e-9, 3), (1.0, 3)]
)
def test_no_answer_wins_where_its_score_is_higher_by_the_threshold(threshold, first):
    spans = some((0, 3, 5, 0.3), (0, 7, 9, 0.1))
    ranked = answers.with_no_answer(spans, np.log([0.6]), threshold, 3)
    assert ranked.starts[0] == first
    assert sorted(ranked.starts.tolist()) == [NOWHERE, 3, 7]
    assert np.exp(ranked.scores[ranked.starts == NOWHERE]) == pytest.approx([0.6])


def test_no_answer_of_the_same_score_comes_after_the_span():
    ranked = answers.with_no_answer(some((0, 3, 5, 0.5)), np.log([0.5]), 0.0, 1)
    assert ranked.starts.tolist() == [3]


def test_no_answer_is_one_of_the_best_k_and_alone_where_there_is_no_span():
    nothing = np.array([math.log(0.2), -np.inf, math.log(0.9)])
    spans = some((0, 3, 5, 0.4), (0, 7, 9, 0.1), (1, 0, 1, 0.3))
    ranked = answers.with_no_answer(spans, nothing, 0.0, 2)
    assert listed(ranked) == [
        (0, 3, 5, pytest.approx(0.4)),
        (0, NOWHERE, NOWHERE, pytest.approx(0.2)),
        (1, 0, 1, pytest.approx(0.3)),
        (2, NOWHERE, NOWHERE, pytest.approx(0.9)),
    ]


def test_no_answer_threshold_is_squads_difference_of_logits_where_there_is_one_window():
    """null_score_diff_threshold: [CLS]'s start + end less the best span's start + end."""
    dice = np.random.default_rng(5)
    encoded = windows((0, [(0, 1), (2, 3), (4, 5)]))
    start, end = dice.normal(size=(2, 7)).astype(np.float32)
    best = max(start[a] + end[b] for a in (3, 4, 5) for b in (3, 4, 5) if a <= b)
    difference = float(start[0] + end[0] - best)
    for threshold in (difference - 1e-4, difference + 1e-4):
        spans, nothing = answers.best(start, end, encoded, longest=30, count=1)
        ranked = answers.with_no_answer(spans, nothing, threshold, 1)
        assert (ranked.starts[0] == NOWHERE) == (difference > threshold)
