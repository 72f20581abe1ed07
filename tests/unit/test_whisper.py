"""Tokens of Whisper's windows to texts and segments, by hand."""

import numpy as np
import pytest

from labelmill.ops import whisper

KNOWN = whisper.Vocabulary(special=np.array([90, 91, 92]), first_time=100, tick=0.02)
START, LANGUAGE, NO_TIMES = 90, 91, 92


def time(seconds: float) -> int:
    return 100 + round(seconds / 0.02)


def window(*tokens: int) -> list[tuple[list[int], float, float | None]]:
    found = whisper.segments(np.array(tokens, np.int64), KNOWN)
    return [(one.ids.tolist(), one.start, one.end) for one in found]


def segment(start: float, end: float | None, *ids: int) -> whisper.Segment:
    return whisper.Segment(ids=np.array(ids), start=start, end=end)


def test_text_is_what_is_neither_special_nor_a_time():
    ids = np.array([START, LANGUAGE, time(0), 1, 2, time(1), 3, NO_TIMES])
    assert whisper.spoken(ids, KNOWN).tolist() == [1, 2, 3]


def test_segments_stand_between_times():
    tokens = (START, LANGUAGE, time(0), 1, 2, time(1.5), time(1.6), 3, time(2))
    assert window(*tokens) == [
        ([1, 2], 0.0, pytest.approx(1.5)),
        ([3], pytest.approx(1.6), pytest.approx(2)),
    ]


def test_a_segment_that_is_not_ended_has_no_end():
    assert window(START, time(0), 1, time(1), time(1), 2) == [
        ([1], 0.0, pytest.approx(1)),
        ([2], pytest.approx(1), None),
    ]


def test_a_time_that_stands_still_ends_nothing():
    assert window(time(1), 1, time(1), 2, time(2)) == [([1, 2], pytest.approx(1), pytest.approx(2))]


def test_times_alone_are_no_segment():
    assert window(START, time(0), time(30)) == []
    assert window() == []


def test_texts_are_joined_where_they_fit_best():
    left, right = np.array([1, 2, 3, 4, 5, 6]), np.array([4, 5, 6, 7, 8])
    assert whisper.joined([left, right]).tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_of_a_mistaken_overlap_each_text_gives_the_half_that_it_heard_better():
    """The end of the left window and the beginning of the right one are heard badly."""
    left, right = np.array([1, 2, 3, 4, 5, 60, 70]), np.array([30, 4, 5, 6, 7, 8])
    assert whisper.joined([left, right]).tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_texts_without_two_tokens_in_common_are_put_end_to_end():
    assert whisper.joined([np.array([1, 2]), np.array([2, 3])]).tolist() == [1, 2, 2, 3]
    assert whisper.joined([np.array([1]), np.array([], int), np.array([5])]).tolist() == [1, 5]


def test_one_window_is_itself():
    assert whisper.joined([np.array([1, 1, 2])]).tolist() == [1, 1, 2]


def test_each_window_keeps_the_segments_in_its_own_part():
    """Windows of 30 s that share 10: the seam is 25 s into the first, 5 s into the second."""
    first = [segment(0, 20, 1), segment(20, 28, 2), segment(28, None, 3)]
    second = [segment(0, 8, 20), segment(8, 12, 30), segment(12, None, 40)]
    whole = whisper.on_one_clock([first, second], 30, 5)
    assert [(one.ids.tolist(), one.start, one.end) for one in whole] == [
        ([1], 0, 20),
        ([2], 20, 28),
        ([30], 28, 32),
        ([40], 32, None),
    ]
