"""`python -m benchmarks.growth`: what a driver costs when a run has very many shards and splits.

For each number of shards, each in a process of its own: planning a new job over that many small
files (`plan`), opening a new run (`start`), opening one that is half done (`resume`: of every other
shard all splits; `resume, torn`: of every shard half of its splits), `status` of the same run, and
`seal` and `verify` of a whole one. Ten splits a shard. Files of the source and of the ledger are
real, parts are simulated (`simulated`). Memory is what the step added to the process's peak.
"""

import argparse
import functools
import json
import multiprocessing
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks import checkpoint, machine, simulated
from benchmarks.simulated import SimulatedStore, Size
from labelmill import verification
from labelmill.cli.loading import load
from labelmill.ledger.attempts import Attempt
from labelmill.ledger.run import Run
from labelmill.ledger.status import status_of
from labelmill.pipeline.ray_source import grouped
from labelmill.plan.plan import make_plan
from labelmill.plan.runtime import resolve
from labelmill.stages.read import ReadWork

_SPLITS = 10  # a shard
_RUNS: Mapping[str, tuple[int, int]] = {  # splits done of shards of even and of odd place
    "new": (0, 0),
    "half": (_SPLITS, 0),
    "torn": (_SPLITS // 2, _SPLITS // 2),
    "whole": (_SPLITS, _SPLITS),
}
_STEPS = {  # step -> the run that it works on, as the step before left it
    "start": "new",
    "status": "half",
    "resume": "half",
    "resume, torn": "torn",
    "verify": "whole",
    "seal": "whole",
}
_SUFFIXES = ("jsonl", "parquet")
_CLEAR = Path("/proc/self/clear_refs")
Told = dict[str, Any]


def main() -> None:
    """Measure, print a table, write JSON."""
    asked = _arguments()
    steps = set(asked.steps.split(";")) if asked.steps else None
    told: Told = {"machine": machine.described(), "splits_a_shard": _SPLITS, "sizes": {}}
    for count in asked.shards:
        scratch = Path(tempfile.mkdtemp(prefix="labelmill-growth-", dir=asked.scratch))
        try:
            told["sizes"][count] = _measure(scratch, count, steps)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    _show(told["sizes"])
    if asked.out:
        Path(asked.out).write_text(json.dumps(told, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--shards", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--steps", help="only these, with ';' between: 'plan jsonl;resume, torn'")
    parser.add_argument("--scratch", help="directory for the files of the source and the ledger")
    parser.add_argument("--out", help="JSON file for the results")
    return parser.parse_args()


def _measure(scratch: Path, count: int, steps: set[str] | None) -> dict[str, Told]:
    """Every step over so many shards; the runs are made in other processes."""
    found: dict[str, Told] = {}
    checkpoint.tiny(scratch / "model")
    for suffix in _SUFFIXES:
        if steps is None or f"plan {suffix}" in steps:
            found[f"plan {suffix}"] = _apart(_plan, scratch, count, suffix)
    for run, done in _RUNS.items():
        chosen = [s for s, of in _STEPS.items() if of == run and (steps is None or s in steps)]
        size = Size(shards=count, splits=_SPLITS, done=done)
        if chosen and run != "new":
            _apart(_make, scratch / run, size)
        for step in chosen:
            found[step] = _apart(_open, scratch / run, size, step)
    return found


def _apart(work: Callable[..., Told], *arguments: object) -> Told:
    """The work in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        told = pool.apply(work, arguments)
    print(work.__name__, *arguments, told, file=sys.stderr)
    return told


def _make(root: Path, size: Size) -> Told:
    simulated.make(root, size)
    return {}


def _plan(scratch: Path, count: int, suffix: str) -> Told:
    """Plan a new job over files that are there."""
    job = scratch / f"{suffix}.yaml"
    job.write_text(yaml.safe_dump(_job(scratch, suffix)))
    _write_shards(scratch / suffix, count, suffix)
    make_plan(load(str(job), ()), functools.partial(resolve, gpus=0))  # what is loaded only once
    with _Meter() as meter:
        plan = make_plan(load(str(job), ()), functools.partial(resolve, gpus=0))
    assert len(plan.listing.shards) == count
    return meter.told()


def _job(scratch: Path, suffix: str) -> dict[str, object]:
    return {
        "task": "text-classification",
        "model": {"path": str(scratch / "model")},
        "source": {"path": str(scratch / suffix)},
        "output": {"path": str(scratch / f"{suffix}-out")},
    }


def _write_shards(source: Path, count: int, suffix: str) -> None:
    """All of the same bytes, under the names that the simulated runs have."""
    data = b'{"text": "one"}\n'
    if suffix == "parquet":
        table, sink = pa.table({"text": ["one"], "id": [1]}), pa.BufferOutputStream()
        pq.write_table(table, sink)
        data = sink.getvalue().to_pybytes()
    for path in simulated.paths(count):
        place = source / path.replace("jsonl.gz", suffix)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def _open(root: Path, size: Size, step: str) -> Told:
    """One step on a run that lies there."""
    store, shards = SimulatedStore(root, size), simulated.shards(size.shards)
    with _Meter() as meter:
        _DO[step](store, shards)
    return meter.told() | {"asked": dict(store.asked)}


def _resume(store: SimulatedStore, shards: tuple[Any, ...]) -> None:
    """As `labelmill label` does, up to the work list of Ray's read tasks."""
    run = Run.on(store, simulated.manifest(), shards, attempt=Attempt(name="next"))
    works = [ReadWork(shard=w.shard, generation=w.generation, done=w.done) for w in run.pending()]
    groups = grouped(works)
    assert sum(len(group) for group in groups) == len(works)
    run.totals()


def _seal(store: SimulatedStore, shards: tuple[Any, ...]) -> None:
    run = Run.on(store, simulated.manifest(), shards, attempt=Attempt(name="next"))
    run.seal()


def _verify(store: SimulatedStore, shards: tuple[Any, ...]) -> None:
    found = verification.verify_store(store)
    assert found.parts == len(shards) * _SPLITS
    assert {problem.found for problem in found.problems} == {"no seal"}


_DO: Mapping[str, Callable[[SimulatedStore, tuple[Any, ...]], Any]] = {
    "start": _resume,
    "resume": _resume,
    "resume, torn": _resume,
    "status": lambda store, _: status_of(store),
    "seal": _seal,
    "verify": _verify,
}


class _Meter:
    """Seconds, and how far the peak of the process's memory rose."""

    def __enter__(self) -> Self:
        _CLEAR.write_text("5")  # the peak is counted anew
        self._before, self._started = _memory("VmRSS"), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._seconds, self._peak = time.perf_counter() - self._started, _memory("VmHWM")

    def told(self) -> Told:
        added = self._peak - self._before
        return {"seconds": self._seconds, "added": added, "peak": self._peak}


def _memory(field: str) -> int:
    """Bytes, of this process; Linux alone tells."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def _show(sizes: Mapping[int, Mapping[str, Told]]) -> None:
    table = Table(title="seconds / MB added to the peak / objects opened, listed, written")
    table.add_column("step")
    for count in sizes:
        table.add_column(f"{count:,} shards", justify="right")
    for step in dict.fromkeys(step for steps in sizes.values() for step in steps):
        table.add_row(step, *(_cell(steps.get(step)) for steps in sizes.values()))
    Console(width=140).print(table)


def _cell(told: Told | None) -> str:
    if told is None:
        return "-"
    asked = told.get("asked", {})
    objects = [f"{asked.get(verb, 0):,}" for verb in ("open", "listed", "create")]
    first = f"{told['seconds']:.1f} s / {told['added'] / 1e6:,.0f} MB"
    return first + (f" / {', '.join(objects)}" if asked else "")


if __name__ == "__main__":
    main()
