"""Progress: one live line on a terminal, a plain line every ten seconds elsewhere; on stderr."""

import time
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from labelmill.masking import masked
from labelmill.reports.outlook import View

_PLAIN_EVERY = 10.0  # seconds


def line(view: View) -> str:
    """What a person wants to know at a glance."""
    share = "" if view.share is None else f" ({view.share:.1%})"
    left = "?" if view.left is None else str(timedelta(seconds=round(view.left)))
    return (
        f"{view.rows:,} rows{share}  {view.rows_per_second:,.0f} rows/s  "
        f"{view.tokens_per_second:,.0f} tokens/s  {view.rejected:,} rejected  ETA {left}"
    )


class Progress:
    """Shows views until closed."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._live = Live(console=self._console, transient=True, auto_refresh=False)
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live.is_started:
            self._live.stop()

    def show(self, view: View) -> None:
        """Redraw the line, or print it where it is due."""
        if self._console.is_terminal:
            self._live.update(Text(line(view), no_wrap=True, overflow="ellipsis"), refresh=True)
        elif time.monotonic() - self._told >= _PLAIN_EVERY:
            self._told = time.monotonic()
            self._console.print(line(view), highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(Text(masked(text)), soft_wrap=True)
