"""`python -m benchmarks.memory`: memory must not grow with the size of a shard.

For each kind of shard it labels a small one and a large one with a tiny model, and shows the peak
memory of every role (`roles`) side by side, and how often each byte of the shard was read: what
readers read more in the large run, over what the large shard has more. The latter counts `read`
calls; bytes read through a memory map are not seen.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from benchmarks import checkpoint, machine, measuring, shards
from benchmarks.roles import Roles
from benchmarks.setting import environment

_MB = 1_000_000


def main() -> None:
    """Measure, print a table a kind, write JSON."""
    asked = _arguments()
    scratch = Path(tempfile.mkdtemp(prefix="labelmill-memory-", dir=asked.scratch))
    told: dict[str, Any] = {"machine": machine.described(), "kinds": {}}
    try:
        checkpoint.tiny(scratch / "model")
        _measure(scratch, "jsonl", _MB)  # its replica converts the model, which takes memory
        for kind in asked.kinds.split(","):
            sizes = (asked.small_mb * _MB, int(asked.gb * 1000 * _MB))
            told["kinds"][kind] = [_measure(scratch, kind, size) for size in sizes]
            _show(kind, *told["kinds"][kind])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if asked.out:
        Path(asked.out).write_text(json.dumps(told, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--gb", type=float, default=2.0, help="large shard, before compression")
    parser.add_argument("--small-mb", type=int, default=200, help="small shard")
    parser.add_argument("--kinds", default=",".join(shards.KINDS))
    parser.add_argument("--scratch", help="directory with room for the shard")
    parser.add_argument("--out", help="JSON file for the results")
    return parser.parse_args()


def _measure(scratch: Path, kind: str, size: int) -> dict[str, Any]:
    """Label one shard, which is removed afterwards."""
    place = scratch / f"{kind}-{size}"
    place.mkdir()
    shard = place / f"shard.{kind}"
    rows = shards.write(shard, kind, size)
    job = place / "job.yaml"
    job.write_text(yaml.safe_dump(_job(scratch / "model", shard, place / "output")))
    roles = Roles()
    argv = [sys.executable, "-m", "labelmill", "label", str(job), "--json"]
    usage = measuring.run(argv, environment(str(scratch / "home")), roles.watch)
    labelled = json.loads(usage.stdout)
    if labelled["rows_labelled"] != rows:
        raise SystemExit(f"{kind}: {labelled['rows_labelled']} of {rows} rows were labelled")
    told = {
        "shard_bytes": shard.stat().st_size,
        "rows": rows,
        "splits": labelled["splits_done"],
        "seconds": usage.seconds,
        "peak": usage.peak,
        "roles": roles.told(),
    }
    shutil.rmtree(place)
    return told


def _job(model: Path, shard: Path, output: Path) -> dict[str, object]:
    return {
        "task": "text-classification",
        "model": {"path": str(model)},
        "source": {
            "path": str(shard),
            "columns": {"text": "text"},
            "keep": ["id"],
            "split_rows": 1_000_000,
            "split_bytes": 8 << 20,
        },
        "options": {"max_length": 16},
        "output": {"path": str(output)},
        "resources": {"runner": "ray", "gpus_per_replica": 0},  # a process a role
    }


def _show(kind: str, small: dict[str, Any], large: dict[str, Any]) -> None:
    more = large["shard_bytes"] - small["shard_bytes"]
    read = [told["roles"]["read"]["read"] for told in (small, large)]
    times = (read[1] - read[0]) / more
    table = Table(
        title=f"{kind}: shards of {small['shard_bytes'] / _MB:,.0f} and "
        f"{large['shard_bytes'] / _MB:,.0f} MB, labelled in {small['seconds']:.0f} and "
        f"{large['seconds']:.0f} s; each byte was read {times:.2f} times",
        caption="memory of one process at its peak; private: without what it shares with others",
    )
    for number, name in enumerate(("role", "processes", "MB small", "MB large", "private small")):
        table.add_column(name, justify="right" if number else "left")
    for name in ("private large", "CPU s small", "CPU s large"):
        table.add_column(name, justify="right")
    for role in sorted({*small["roles"], *large["roles"]}):
        table.add_row(role, *_cells(small["roles"].get(role), large["roles"].get(role)))
    table.add_row("all", "", f"{small['peak'] / _MB:,.0f}", f"{large['peak'] / _MB:,.0f}")
    Console(width=120).print(table)


def _cells(small: dict[str, float] | None, large: dict[str, float] | None) -> list[str]:
    def both(key: str, unit: float) -> list[str]:
        return ["-" if one is None else f"{one[key] / unit:,.0f}" for one in (small, large)]

    processes = "/".join(both("processes", 1))
    return [processes, *both("rss", _MB), *both("private", _MB), *both("cpu", 1)]


if __name__ == "__main__":
    main()
