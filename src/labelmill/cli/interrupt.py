"""Interrupt: Ctrl-C and SIGTERM as a wish to stop, and as an order when they come again."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """While open, the first signal sets `wished`; the second raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self.wished = False

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.wished:
            raise KeyboardInterrupt
        self.wished = True
