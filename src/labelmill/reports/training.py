"""Training: what a person sees of one, while it runs and when it is over."""

import time
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from labelmill.masking import masked
from labelmill.reports.evaluation import number
from labelmill.training.seat import Standing

_PLAIN_EVERY = 10.0  # seconds


def line(standing: Standing) -> str:
    """What a person wants to know at a glance."""
    share = standing.step / standing.steps if standing.steps else 0.0
    left = "?" if standing.seconds_left is None else _clock(standing.seconds_left)
    parts = [
        f"step {standing.step:,} of {standing.steps:,} ({share:.1%})",
        f"epoch {standing.epoch:.2f}",
        "" if standing.loss is None else f"loss {standing.loss:.4f}",
        "" if standing.learning_rate is None else f"learning rate {standing.learning_rate:.2e}",
        f"{standing.examples_per_second:,.0f} examples/s",
        *(f"{name} {value:.4f}" for name, value in _told(standing.metrics or {})),
        f"ETA {left}",
    ]
    return "  ".join(part for part in parts if part)


class TrainingProgress:
    """One live line on a terminal, a plain line every ten seconds elsewhere; on stderr."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._live = Live(console=self._console, transient=True, auto_refresh=False)
        self._told = time.monotonic()
        self._step = -1

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

    def show(self, standing: Standing) -> None:
        """Redraw the line, or print it where it is due and says something new."""
        if self._console.is_terminal:
            shown = Text(line(standing), no_wrap=True, overflow="ellipsis")
            self._live.update(shown, refresh=True)
        elif time.monotonic() - self._told >= _PLAIN_EVERY and standing.step != self._step:
            self._told, self._step = time.monotonic(), standing.step
            self.say(line(standing))

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(Text(masked(text)), soft_wrap=True)


def finished(told: Mapping[str, Any]) -> RenderableType:
    """The result of a training for people."""
    table = _two_columns()
    data = told["data"]
    table.add_row("model", str(told["path"]))
    table.add_row("learned from", f"{data['train']:,} examples, {told['epochs']:.3g} epochs")
    if data["rejected"]:
        table.add_row("left out", f"{data['rejected']:,} rows that cannot be learned from")
    if told["metrics"]:
        measured = ", ".join(f"{name} {number(value)}" for name, value in told["metrics"].items())
        table.add_row("kept back", f"{data['validation']:,} examples: {measured}")
        table.add_row("best at", f"step {told['best_step']:,} of {told['steps']:,}")
    return Group(table)


def planned(told: Mapping[str, Any]) -> RenderableType:
    """What a training would do, for people."""
    table = _two_columns()
    for name, value in told.items():
        table.add_row(name.replace("_", " "), str(value))
    return table


def _two_columns() -> Table:
    """Names and values; a long path is folded, not cut."""
    return Table.grid(Column(), Column(overflow="fold"), padding=(0, 2))


def _told(metrics: Mapping[str, float]) -> list[tuple[str, float]]:
    """The loss, and the task's own metrics; not how long measuring took."""
    timed = ("runtime", "per_second")
    kept = [(name, value) for name, value in metrics.items() if not name.endswith(timed)]
    named = [(f"measured {name}" if name == "loss" else name, value) for name, value in kept]
    return named[:3]


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
