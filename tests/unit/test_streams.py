"""Microbatches through an engine that computes several at once: order, bound, failures."""

import itertools
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from labelmill.batch import Encoded, Microbatch, Outputs, Padding
from labelmill.errors import EngineError, OutOfMemory
from labelmill.stages.inference import Inference
from labelmill.stages.streams import predicted


def microbatch(number: int) -> Microbatch:
    tokens = np.full((1, 1), number, np.int64)
    return Microbatch(
        sequences=np.array([number]), lengths=np.array([1]), inputs={"input_ids": tokens}
    )


class Counted:
    """A forward pass of which the earlier ones take longer; counts how many are computed."""

    def __init__(self, fails_at: int = -1) -> None:
        self._lock = threading.Lock()
        self._fails_at = fails_at
        self.now = self.most = 0

    def __call__(self, batch: Microbatch) -> Outputs:
        number = int(batch.sequences[0])
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.02 / (1 + number))
        with self._lock:
            self.now -= 1
        if number == self._fails_at:
            raise EngineError(f"failed on {number}")
        return {"number": batch.inputs["input_ids"][:, 0]}


@pytest.mark.parametrize("streams", [1, 2, 5])
def test_outputs_come_in_order_with_their_microbatches(streams: int) -> None:
    forward = Counted()
    found = list(predicted(forward, map(microbatch, range(40)), streams))

    assert [int(outputs["number"][0]) for _, outputs in found] == list(range(40))
    assert [int(batch.sequences[0]) for batch, _ in found] == list(range(40))
    assert forward.most <= streams


def test_as_many_as_there_are_streams_are_computed_at_once() -> None:
    together = threading.Barrier(3, timeout=60)

    def forward(batch: Microbatch) -> Outputs:
        together.wait()
        return {"number": batch.sequences}

    assert len(list(predicted(forward, map(microbatch, range(9)), 3))) == 9


def test_microbatches_are_made_as_they_are_needed() -> None:
    made = 0

    def batches() -> Iterator[Microbatch]:
        nonlocal made
        for number in range(100):
            made += 1
            yield microbatch(number)

    for taken, _ in enumerate(predicted(Counted(), batches(), 3), start=1):
        assert made <= taken + 2 * 3


@pytest.mark.parametrize("streams", [1, 3])
def test_failure_is_raised_in_its_turn_when_nothing_is_computed_any_more(streams: int) -> None:
    forward = Counted(fails_at=4)
    running = predicted(forward, map(microbatch, range(40)), streams)
    found = [int(batch.sequences[0]) for batch, _ in itertools.islice(running, 4)]
    with pytest.raises(EngineError, match="failed on 4"):
        next(running)

    assert found == [0, 1, 2, 3]
    assert forward.now == 0


class Small:
    """An engine of three streams whose memory holds so many tokens; see Engine."""

    name, device, precision = "small", "cpu", "float32"
    default_budget, padding, packs, streams = 64, Padding(), False, 3

    def __init__(self, holds: int) -> None:
        self._holds = holds
        self.refused = 0

    def forward(self, batch: Microbatch) -> Outputs:
        if batch.size > self._holds:
            self.refused += 1
            raise OutOfMemory("no memory")
        return {"sum": batch.inputs["input_ids"].sum(axis=1).astype(np.float32)}

    def close(self) -> None:
        pass


def test_without_memory_in_any_stream_the_budget_is_halved_and_nothing_is_lost() -> None:
    lengths = np.arange(1, 31, dtype=np.int32)
    tokens = np.random.default_rng(0).integers(1, 1000, lengths.sum(), np.int32)
    encoded = Encoded(
        rows=np.arange(30, dtype=np.int32), lengths=lengths, inputs={"input_ids": tokens}
    )
    engine = Small(holds=32)
    inference = Inference(engine, 64, 0)

    done = inference.run(encoded)

    wanted = [tokens[start:stop].sum() for start, stop in itertools.pairwise(encoded.offsets)]
    assert np.array_equal(done.outputs["sum"], np.array(wanted, np.float32))
    assert engine.refused > 0
    assert inference.budget <= 32
