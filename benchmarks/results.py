"""Results: rounds of a comparison -> medians, ratios, a table, JSON."""

import importlib.metadata
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pyarrow.dataset as ds
from rich.console import Console
from rich.table import Table

from benchmarks import contenders

_PACKAGES = ("labelmill", "torch", "transformers", "sentence-transformers", "ray", "tokenizers")
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "avx512_vnni")
_HIDDEN = "_labelmill"

Told = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One contender, once."""

    name: str
    rows: int
    seconds: float
    steady_seconds: float
    cpu_seconds: float
    peak: int
    peak_process: int
    facts: Mapping[str, object]
    labels: Mapping[int, str]  # row -> label; empty where it gives none


def labels(output: str) -> dict[int, str]:
    """What a contender wrote: row -> label."""
    parts = [str(p) for p in Path(output).rglob("*.parquet") if _HIDDEN not in p.parts]
    found = ds.dataset(parts, format="parquet")
    if "label" not in found.schema.names:
        return {}
    rows = found.to_table(["id", "label"])
    return dict(zip(rows["id"].to_pylist(), rows["label"].to_pylist(), strict=True))


def collect(rounds: Sequence[Round], reference: Mapping[int, str], setting: Told) -> Told:
    """Everything that the table says, and the rounds behind it."""
    names = dict.fromkeys(item.name for item in rounds)
    lines = {
        name: _line([item for item in rounds if item.name == name], reference, setting["rows"])
        for name in names
    }
    for one in lines.values():
        one["whole_to_hand"] = _ratio(one, lines, contenders.HAND, "rows_per_second")
        one["steady_to_hand"] = _ratio(one, lines, contenders.HAND, "steady_rows_per_second")
        for peer in contenders.PEERS:
            one[f"times_{peer}"] = _ratio(one, lines, (peer,), "rows_per_second")
    return {
        "machine": machine(),
        "setting": setting,
        "contenders": lines,
        "rounds": [_told(item) for item in rounds],
    }


def machine() -> Told:
    """What was measured on, and with which versions."""
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(line.split(":", 1) for line in cpu.splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    return {
        "cpu": fields.get("model name", platform.processor()),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": psutil.virtual_memory().total,
        "flags": [flag for flag in _FLAGS if flag in fields.get("flags", "").split()],
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def line(item: Round) -> None:
    """Say that a round is done."""
    Console(stderr=True).print(
        f"{item.name}: {item.rows:,} rows in {item.seconds:.1f} s, steady "
        f"{item.rows / item.steady_seconds:.1f} rows/s, {item.cpu_seconds:.1f} s of CPU"
    )


def show(told: Told) -> None:
    """Print the table."""
    setting, here = told["setting"], told["machine"]
    table = Table(
        title=f"{setting['rows']:,} rows, Parquet to Parquet, at most {setting['max_length']} "
        f"tokens, {setting['precision']}; medians",
        caption=f"{here['cpu']}, {here['cores']} cores, {' '.join(here['flags'])}; "
        + ", ".join(f"{name} {version}" for name, version in here["versions"].items()),
    )
    for number, (heading, _) in enumerate(_COLUMNS):
        table.add_column(heading, justify="right" if number else "left")
    for name, one in told["contenders"].items():
        table.add_row(name, *(form(one) for _, form in _COLUMNS[1:]))
    Console(width=160).print(table)


def _number(key: str, form: str) -> Any:
    return lambda one: "-" if one[key] is None else format(one[key], form)


def _memory(one: Told) -> str:
    return f"{one['peak'] / 1e6:,.0f} / {one['peak_process'] / 1e6:,.0f}"


_COLUMNS: tuple[tuple[str, Any], ...] = (
    ("contender", None),
    ("rows/s\nwhole", _number("rows_per_second", ".1f")),
    ("rows/s\nsteady", _number("steady_rows_per_second", ".1f")),
    ("of best hand\nwhole", _number("whole_to_hand", ".3f")),
    ("of best hand\nsteady", _number("steady_to_hand", ".3f")),
    ("times s.-t.\nwhole", _number("times_sentence_transformers", ".2f")),
    ("times pipeline\nwhole", _number("times_pipeline", ".2f")),
    ("CPU s\na 1,000 rows", _number("cpu_seconds_a_thousand", ".2f")),
    ("peak MB\nall / largest", _memory),
    ("labels as\nfloat32", _number("agreement", ".4f")),
)


def _line(rounds: Sequence[Round], reference: Mapping[int, str], rows: int) -> Told:
    """Medians of one contender."""
    return {
        "rows": rounds[0].rows,
        "repeats": len(rounds),
        "rows_per_second": median(rows / _seconds(item, rows) for item in rounds),
        "steady_rows_per_second": median(item.rows / item.steady_seconds for item in rounds),
        "cpu_seconds_a_thousand": median(1000 * item.cpu_seconds / item.rows for item in rounds),
        "startup_seconds": median(item.seconds - item.steady_seconds for item in rounds),
        "peak": median(item.peak for item in rounds),
        "peak_process": median(item.peak_process for item in rounds),
        "agreement": _agreement(rounds[-1].labels, reference),
    }


def _seconds(item: Round, rows: int) -> float:
    """Whole process; where it ran on fewer rows, its steady state in proportion."""
    return item.seconds + item.steady_seconds * (rows / item.rows - 1)


def _agreement(found: Mapping[int, str], reference: Mapping[int, str]) -> float | None:
    if not found:
        return None
    return sum(found.get(row) == label for row, label in reference.items()) / len(reference)


def _ratio(one: Told, lines: Mapping[str, Told], names: Iterable[str], key: str) -> float | None:
    """The line's number over the best of the named contenders', where one of them ran."""
    best = max((lines[name][key] for name in names if name in lines), default=None)
    return None if best is None else float(one[key] / best)


def _told(item: Round) -> Told:
    fields = (name for name in item.__dataclass_fields__ if name != "labels")
    return {name: getattr(item, name) for name in fields} | {"labelled": len(item.labels)}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
