"""Checking: what a person sees of `verify`, while it works and at its end; the bar for others."""

from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from labelmill.verification import Verification

_LISTED = 50


class Checking:
    """A bar over the parts, on a terminal; nothing elsewhere. Writes to stderr."""

    def __init__(self, doing: str = "verifying parts") -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn(doing),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("parts", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, done: int, total: int) -> None:
        """So many parts of so many are done."""
        self._progress.update(self._task, completed=done, total=total)


def findings(found: Verification, output: str) -> RenderableType:
    """What was compared, and every problem, the first ones by name."""
    compared = Text(
        f"{output}: {found.shards:,} shards, {found.parts:,} parts ({found.part_bytes:,} bytes) "
        f"read back; {found.rows_read:,} rows read, {found.rows_written:,} written, "
        f"{found.rows_rejected:,} rejected"
    )
    if found.ok:
        return Group(compared, Text(_proven(found, output)))
    columns = (Column(name, overflow="fold") for name in ("where", "found", "expected"))
    table = Table("problem", *columns)
    for problem in found.problems[:_LISTED]:
        table.add_row(*map(Text, (problem.kind, problem.path, problem.found, problem.expected)))
    more = len(found.problems) - _LISTED
    rest = [Text(f"... and {more:,} more")] if more > 0 else []
    return Group(compared, Text(f"{len(found.problems):,} problems"), table, *rest)


def _proven(found: Verification, output: str) -> str:
    if not found.shards_damaged:
        return "every row is there once"
    return (
        f"every row that could be read is there once; damaged shards: {found.shards_damaged:,} "
        f"('labelmill status {output} --damage' says where)"
    )
