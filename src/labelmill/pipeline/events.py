"""Events: what a job tells while it runs, whatever runs it.

Receipts come from whoever commits splits, one by one; the board says how far the others are. What
is committed is the ledger's to know.
"""

import queue
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from labelmill.ledger.receipt import Receipt

_TICK = 0.5  # seconds between two looks at the board


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A part and its receipt are in their places."""

    receipt: Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """Rows and tokens predicted in splits that are not committed yet."""

    rows: int
    tokens: int


Event = Committed | Progressed


class Watched(Protocol):
    """The board, as the driver sees it; see `stages.board`."""

    def stop(self) -> None:
        """Ask every stage to begin no other split."""
        ...

    def forget(self, splits: Sequence[str]) -> None:
        """The splits are committed."""
        ...

    def in_flight(self) -> Mapping[str, tuple[int, int]]:
        """Rows and tokens predicted so far, by split."""
        ...


class Arrivals:
    """Receipts on their way to the driver's thread, from any other."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Receipt | BaseException | None] = queue.SimpleQueue()
        self.ended = False

    def put(self, arrival: Receipt | BaseException | None) -> None:
        """A receipt; what ends the job; or None: no other will come."""
        self._waiting.put(arrival)

    def take(self, seconds: float) -> list[Receipt]:
        """What arrives within so many seconds; raises what was put to end the job."""
        until = time.monotonic() + seconds
        taken: list[Receipt] = []
        while not self.ended and (left := until - time.monotonic()) > 0:
            try:
                arrival = self._waiting.get(timeout=left)
            except queue.Empty:
                break
            if isinstance(arrival, BaseException):
                raise arrival
            if arrival is None:
                self.ended = True
            else:
                taken.append(arrival)
        return taken


def followed(
    arrivals: Arrivals, board: Watched, stopping: Callable[[], bool]
) -> Generator[Event, None, None]:
    """The events of a job until all that comes has come; tells the board when to stop."""
    stopped = False
    while not arrivals.ended:
        if not stopped and stopping():
            board.stop()
            stopped = True
        receipts = arrivals.take(_TICK)
        board.forget([receipt.split.id for receipt in receipts])
        yield from (Committed(receipt=receipt) for receipt in receipts)
        posts = board.in_flight().values()
        yield Progressed(
            rows=sum(rows for rows, _ in posts), tokens=sum(tokens for _, tokens in posts)
        )
