"""Evaluation: what a person sees of `evaluate` on a terminal."""

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from labelmill.evaluation.result import Evaluation, Measured, Slice
from labelmill.evaluation.scored import Cell
from labelmill.evaluation.scored import Table as Numbers

_SHOWN = ("classes", "confusions", "thresholds", "null_thresholds")  # the page has the others too
_ROWS = 30


def metrics(found: Evaluation) -> RenderableType:
    """Rows, metrics with their intervals, slices, tables and remarks."""
    return Group(
        _rows(found),
        _metrics(found),
        *(_slices(found, column, listed) for column, listed in found.slices.items()),
        *(_table(table) for table in found.told.tables if table.name in _SHOWN),
        *map(Text, remarks(found)),
    )


def remarks(found: Evaluation) -> list[str]:
    """What is to be said beside the numbers, a line each."""
    lines = [] if found.complete else [_unfinished(found)]
    if found.rows.unreadable:
        lines.append(f"{found.rows.unreadable:,} rows have a value that no column can hold")
    if found.rows.gold_unused:
        lines.append(f"{found.rows.gold_unused:,} gold values are of no row that was written")
    lines += [f"{name} was left out: {why}" for name, why in found.told.left_out.items()]
    lines += found.told.notes
    return [*lines, *(f"{name}: {said}" for name, said in found.told.signatures.items())]


def account(found: Evaluation) -> list[tuple[str, str]]:
    """Which rows were evaluated, and which not."""
    rows = found.rows
    return [
        ("run", found.output),
        ("task", found.task),
        ("model", found.model),
        ("gold", found.gold if found.key is None else f"{found.gold} by {found.key}"),
        ("rows read", f"{rows.read:,}"),
        ("rows evaluated", f"{rows.evaluated:,}"),
        ("rows without gold", f"{rows.without_gold:,}"),
        ("rows without answer", f"{rows.unlabelled:,}"),
        ("rows rejected", f"{rows.rejected:,}"),
        *([("rows unreadable", f"{rows.unreadable:,}")] if rows.unreadable else []),
    ]


def ordered(found: Evaluation) -> list[tuple[str, Measured]]:
    """The metrics, those first that the task names."""
    rest = [name for name in found.metrics if name not in found.headline]
    return [(name, found.metrics[name]) for name in (*found.headline, *rest)]


def number(cell: Cell) -> str:
    """A value as it is read best."""
    if cell is None:
        return "-"
    return f"{cell:.4f}" if isinstance(cell, float) else f"{cell:,}" if _is_int(cell) else str(cell)


def interval(measured: Measured) -> str:
    """Its ends; empty where there is none."""
    if measured.low is None:
        return ""
    return f"{number(measured.low)} to {number(measured.high)}"


def _is_int(cell: Cell) -> bool:
    return isinstance(cell, int)


def _unfinished(found: Evaluation) -> str:
    of = "?" if found.splits is None else f"{found.splits:,}"
    return (
        f"the run is not whole: {found.splits_done:,} of {of} splits are done, and these were "
        "evaluated"
    )


def _rows(found: Evaluation) -> Table:
    table = Table(box=SIMPLE, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right", overflow="fold")
    for name, value in account(found):
        table.add_row(name, Text(value))
    return table


def _metrics(found: Evaluation) -> Table:
    table = Table("metric", box=SIMPLE)
    table.add_column("value", justify="right")
    if found.resamples:
        table.add_column("95% interval", justify="right")
    for name, measured in ordered(found):
        style = "bold" if name in found.headline else ""
        cells = [number(measured.value), *([interval(measured)] if found.resamples else [])]
        table.add_row(name, *cells, style=style)
    return table


def _slices(found: Evaluation, column: str, slices: tuple[Slice, ...]) -> Table:
    table = Table(_folded(column), "rows", *found.headline, box=SIMPLE)
    for each in slices[:_ROWS]:
        value = Text("(null)" if each.value is None else each.value)
        shown = (number(each.metrics.get(name)) for name in found.headline)
        table.add_row(value, f"{each.rows:,}", *shown)
    return _cut(table, len(slices))


def _table(numbers: Numbers) -> Table:
    first, *rest = numbers.columns
    table = Table(_folded(first), *rest, box=SIMPLE, title=numbers.name, title_justify="left")
    for row in numbers.rows[:_ROWS]:
        table.add_row(*(Text(number(cell)) for cell in row))
    return _cut(table, len(numbers.rows))


def _folded(name: str) -> Column:
    """For names of labels, which may differ at their ends alone."""
    return Column(name, overflow="fold")


def _cut(table: Table, rows: int) -> Table:
    if rows > _ROWS:
        table.add_row(f"... and {rows - _ROWS:,} more; --json and --page have all")
    return table
