"""Replicas that die where the board does not see it: how often a split is tried has a bound."""

from typing import Any

import pytest

from labelmill.errors import EngineError
from labelmill.pipeline import replica_process
from labelmill.pipeline.replica_process import ReplicaProcess
from labelmill.splits import Split
from labelmill.stages.board import Board
from labelmill.stages.parcel import Head, Parcel


class Mortal:
    """Loads its model, and dies of being sent a parcel."""

    def answer(self, given: Any, board: Board) -> None:
        del board
        if isinstance(given, Parcel):
            raise replica_process._Died


def test_split_that_no_replica_comes_to_begin_ends_the_job() -> None:
    started: list[Any] = []

    def another() -> Any:
        started.append(Mortal())
        return started[-1]

    recipe: Any = None
    split = Split(shard="a.jsonl", index=0, start=0, stop=1, last=True)
    replica = ReplicaProcess(0, recipe, Board(), another)

    with pytest.raises(EngineError, match=r"died 12 times, and no split was committed"):
        replica.predict(Parcel(head=Head(split=split), cells={}))

    assert len(started) == 12
