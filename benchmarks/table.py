"""Table: what a comparison found, for a terminal."""

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.rounds import Round

Told = Mapping[str, Any]

_WIDTH = 170


def line(item: Round) -> None:
    """Say that a round is done."""
    Console(stderr=True, soft_wrap=True).print(
        f"{item.shards.corpus}, {item.name}: {item.rows:,} rows in {item.seconds:.1f} s, steady "
        f"{item.rows / item.steady_seconds:.1f} rows/s, {item.cpu_seconds:.1f} s of CPU"
    )


def show(told: Told) -> None:
    """Print a table for each corpus, then what it was measured on, and what could not be run."""
    console = Console(width=_WIDTH)
    for corpus, lines in told["corpora"].items():
        console.print(_table(f"{corpus}: {_load(told['load'][corpus])}", lines))
    _notes(console, told)


def _load(load: Told) -> str:
    mean = load["tokens"] / load["rows"]
    return f"{load['rows']:,} rows of {mean:.0f} tokens in the mean (slow contenders: fewer)"


def _table(title: str, lines: Told) -> Table:
    table = Table(title=title)
    for number, (heading, _) in enumerate(_COLUMNS):
        table.add_column(heading, justify="right" if number else "left")
    for name, one in lines.items():
        table.add_row(name, *(form(one) for _, form in _COLUMNS[1:]))
    return table


def _notes(console: Console, told: Told) -> None:
    here, setting = told["machine"], told["setting"]
    memory = here["memory_bytes"] / 2**30
    versions = ", ".join(f"{name} {version}" for name, version in here["versions"].items())
    rates = ", ".join(
        f"{precision} {max(one[precision] for one in told['matrix_rates']) / 1e9:,.0f}"
        for precision in told["matrix_rates"][0]
    )
    once = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in told["prepared"].items())
    console.print(
        f"Parquet to Parquet, at most {setting['max_length']} tokens, {setting['precision']}, "
        f"medians of {told['repeats']}. Whole: from the start of the command to its exit. "
        f"Once before, not in the table: {once or 'nothing'}."
    )
    console.print(f"Matrix rate in this run, GFLOP/s: {rates}; shares are of the higher one.")
    console.print(
        f"{here['cpu']}, {here['cores']} cores, {memory:.0f} GiB, {' '.join(here['flags'])}; "
        f"commit {here['commit']}; {versions}"
    )
    for name, reason in told["absent"].items():
        console.print(f"[bold]{name} was not run:[/bold] ", end="")
        console.print(reason, markup=False)


def _number(key: str, form: str, scale: float = 1.0) -> Callable[[Told], str]:
    return lambda one: "-" if one[key] is None else format(one[key] / scale, form)


def _times(yardstick: str, key: str) -> Callable[[Told], str]:
    def form(one: Told) -> str:
        times = one["times"].get(yardstick)
        return "-" if times is None else f"{times[key]:.2f}"

    return form


def _memory(one: Told) -> str:
    return f"{one['peak'] / 1e6:,.0f} / {one['peak_process'] / 1e6:,.0f}"


_COLUMNS: tuple[tuple[str, Callable[[Told], str]], ...] = (
    ("contender", str),
    ("rows/s\nwhole", _number("rows_per_second", ".1f")),
    ("rows/s\nsteady", _number("steady_rows_per_second", ".1f")),
    ("k tokens/s\nsteady", _number("steady_tokens_per_second", ".2f", 1000)),
    ("labelmill is\n.. times whole", _times("labelmill", "rows_per_second")),
    ("\nsteady", _times("labelmill", "steady_rows_per_second")),
    ("in int8\nwhole", _times("labelmill_int8", "rows_per_second")),
    ("\nsteady", _times("labelmill_int8", "steady_rows_per_second")),
    ("of matrix\nrate", _number("share_of_matrix_rate", ".1%")),
    ("CPU s a\n1,000 rows", _number("cpu_seconds_a_thousand", ".2f")),
    ("peak MB\nall / largest", _memory),
    ("labels as\nfloat32", _number("agreement", ".4f")),
)
