"""The board: what became of replicas, and how far splits are."""

import numpy as np
import pytest

from labelmill.batch import Encoded
from labelmill.stages import predict
from labelmill.stages.board import Board


def test_deaths_of_a_replica_while_it_loads_are_counted_until_it_has_loaded() -> None:
    board = Board()

    assert [board.load(name).loading for name in ("1", "1", "2", "1")] == [0, 1, 0, 2]
    board.loaded("1")
    assert [board.load("1").loading, board.load("2").loading] == [0, 1]


def test_lives_of_a_replica_are_counted_until_a_split_is_committed() -> None:
    board = Board()
    for _ in range(3):
        board.load("1")
        board.loaded("1")

    board.forget([])
    assert [board.load("1").idle, board.load("2").idle] == [3, 0]
    board.forget(["a"])
    assert board.load("1").idle == 0


def test_rows_of_many_sequences_are_posted_as_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "_POST_EVERY", 0.0)
    board, tried = Board(), 20  # labels that each of three rows is tried with
    encoded = Encoded(
        rows=np.repeat(np.arange(3, dtype=np.int32), tried), lengths=np.full(3 * tried, 7, np.int32)
    )
    post = predict.Poster(board, "a", encoded)

    post(2 * tried, 280)

    assert board.in_flight() == {"a": (2, 280)}
