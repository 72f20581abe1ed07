"""The command of the package, see there."""

import argparse
import json
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.accuracy import __doc__ as doc
from benchmarks.accuracy.commands import Record, measure, told
from benchmarks.accuracy.sets import SETS


def main() -> None:
    """Measure the data sets that were asked for, one after another."""
    wish = _wish()
    records: list[Record] = []
    for name in wish.only:
        records.append(measure(name, SETS[name], wish.data, wish.work / name, wish.set))
        if wish.out:
            _write(wish.out, records)
    Console(width=110).print(_table(records))


def _wish() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=doc)
    parser.add_argument("--data", type=Path, required=True, help="directory with all data sets")
    parser.add_argument("--only", type=_names, default=tuple(SETS), help="names, with commas")
    parser.add_argument("--work", type=Path, help="directory for files, models and runs; new ones")
    parser.add_argument("--set", action="append", default=[], help="setting of every training job")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    wish = parser.parse_args()
    wish.work = (wish.work or Path(tempfile.mkdtemp(prefix="accuracy-"))).absolute()
    wish.data = wish.data.absolute()
    return wish


def _names(given: str) -> tuple[str, ...]:
    names = tuple(given.split(","))
    for name in names:
        if name not in SETS:
            raise argparse.ArgumentTypeError(f"{name!r} found, expected {', '.join(SETS)}")
    return names


def _write(path: Path, records: list[Record]) -> None:
    found = {"machine": machine.described(), "sets": [told(one) for one in records]}
    path.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


def _table(records: list[Record]) -> Table:
    table = Table(title="Test rows, 95% intervals by bootstrap", title_justify="left")
    for name in ("set", "metric", "value", "interval", "goal", "rows", "epochs", "seed", "minutes"):
        table.add_column(name, justify="left" if name in {"set", "metric"} else "right")
    for one in records:
        interval = "-" if one.low is None else f"{one.low:.3f}-{one.high:.3f}"
        goal = one.goal if one.goal is not None else one.baseline
        wanted = "-" if goal is None else f"{goal:.3f}"
        cells = (
            one.name, one.metric, f"{one.value:.4f}", interval, wanted, f"{one.rows:,}",
            f"{one.epochs:g}", str(one.seed), f"{one.minutes_train:.1f}",
        )  # fmt: skip
        table.add_row(*cells)
    return table


if __name__ == "__main__":
    main()
