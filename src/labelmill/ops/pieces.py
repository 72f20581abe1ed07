"""Pieces: units of text (lines, records) out of a stream of bytes, looked at before they are taken.

What cuts a stream into units is the reader's; how they are taken, skipped and counted is here.
Offsets are bytes of the decompressed stream.
"""

from abc import ABC, abstractmethod
from typing import Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

from labelmill.ops.decompression import Stream


class Piece(ABC):
    """Units one after another; without gaps, so that one begins where another stops."""

    __slots__ = ()

    stops: npt.NDArray[np.int64]  # [units] offset after each unit
    filled: npt.NDArray[np.bool_]  # [units] false where a unit is blank, and no row

    def __len__(self) -> int:
        return len(self.stops)

    @abstractmethod
    def __getitem__(self, part: slice, /) -> Self:
        """A run of these units."""

    def fitting(self, rows: int, stop: int) -> int:
        """How many units, from the first on, hold at most `rows` rows and end by offset `stop`."""
        by_stop = np.searchsorted(self.stops, stop, side="right")
        by_rows = np.searchsorted(np.cumsum(self.filled), rows, side="right")
        return int(min(by_stop, by_rows))


P = TypeVar("P", bound=Piece)


class PieceReader(ABC, Generic[P]):
    """The units of a stream.

    `offset` is where the next unit begins; once `peek` gives None, it is the end of the last one.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._pending = b""  # read from the stream, not cut into units yet
        self._ready: P | None = None
        self.offset = 0

    def peek(self) -> P | None:
        """Some of the next units, at least one; None at the end."""
        if self._ready is None:
            self._ready = self._cut()
        return self._ready

    def take(self, count: int) -> P:
        """The first `count` of the units that `peek` shows."""
        units = self.peek()
        if units is None:
            raise EOFError("nothing is left to take")
        taken, rest = units[:count], units[count:]
        self._ready = rest if count < len(units) else None
        self.offset = int(taken.stops[-1])
        return taken

    def skip_to(self, offset: int) -> None:
        """Go on at `offset`, where a unit begins."""
        if offset == self.offset:
            return
        if self._ready is not None and offset < int(self._ready.stops[-1]):
            self.take(int(np.searchsorted(self._ready.stops, offset, side="right")))
            return
        count = offset - (self.offset if self._ready is None else int(self._ready.stops[-1]))
        self._stream.skip(max(count - len(self._pending), 0))
        self._pending = self._pending[count:]
        self._ready, self.offset = None, offset

    @abstractmethod
    def _cut(self) -> P | None:
        """The next units, from `offset` on, out of `_pending` and the stream."""
