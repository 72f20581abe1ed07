"""`python -m benchmarks.scaling`: throughput with more replicas, and with two drivers.

Replicas are simulated GPUs: Ray counts eight that are not there, and a model sleeps for as long as
a GPU may take for 128 MiB (`sleeping`); everything else is the job's own pipeline and ledger. The
splits are small, so that the CPU work of eight fits two cores: what is measured is whether replicas
are kept busy, not how fast text is tokenized. Then the command with `--slice 1/2` and `--slice 2/2`
at once, two replicas each, beside one driver with two.

Rates are of the steady state by the receipts' times: from the moment when as many splits are
committed as there are replicas until all but as many are. *Of linear* is the rate over that of one
replica (one driver), times their number; *busy* is the rate times the sleep, over the replicas.
"""

import argparse
import functools
import json
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from benchmarks import machine, sleeping
from benchmarks.setting import environment
from labelmill.ledger.state import State
from labelmill.storage import open_store

_GPUS = 8
_SLICED = 2  # replicas of a driver
Told = dict[str, Any]


def main() -> None:
    """Measure, print a table, write JSON."""
    asked = _arguments()
    scratch = Path(tempfile.mkdtemp(prefix="labelmill-scaling-", dir=asked.scratch))
    told: Told = {"machine": machine.described(), "seconds": asked.seconds, "lines": {}}
    try:
        model = sleeping.model(scratch / "model", asked.seconds)
        for replicas in asked.replicas:
            line = _replicas(scratch, model, replicas, asked)
            told["lines"][f"{replicas} replicas"] = line
        for drivers in asked.drivers:
            told["lines"][f"{drivers} drivers"] = _drivers(scratch, model, drivers, asked)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _compare(told["lines"])
    _show(told)
    if asked.out:
        Path(asked.out).write_text(json.dumps(told, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--replicas", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--drivers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=4.0, help="of sleep for a split")
    parser.add_argument("--splits", type=int, default=10, help="for each replica")
    parser.add_argument("--scratch", help="directory for shards and parts")
    parser.add_argument("--out", help="JSON file for the results")
    return parser.parse_args()


def _replicas(scratch: Path, model: str, replicas: int, asked: argparse.Namespace) -> Told:
    """One driver with so many replicas on simulated GPUs."""
    place = scratch / f"replicas-{replicas}"
    job = _prepare(place, model, replicas, replicas * asked.splits)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(_label_on_gpus, (str(job), replicas))
    return _line(place / "output", replicas, asked.seconds)


def _drivers(scratch: Path, model: str, drivers: int, asked: argparse.Namespace) -> Told:
    """So many drivers of one run at once, each with its slice, through the command."""
    place = scratch / f"drivers-{drivers}"
    job = _prepare(place, model, _SLICED, drivers * _SLICED * asked.splits)
    argv = [sys.executable, "-m", "labelmill", "label", str(job), "--json", "--slice"]
    running = [
        subprocess.Popen(
            [*argv, f"{number + 1}/{drivers}"],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(drivers)
    ]
    for process in running:
        _, told = process.communicate()
        if process.returncode:
            raise SystemExit(f"exit {process.returncode}\n{told[-4000:]}")
    return _line(place / "output", drivers * _SLICED, asked.seconds)


def _prepare(place: Path, model: str, replicas: int, splits: int) -> Path:
    place.mkdir()
    sleeping.shards(place / "shards", splits)
    job = place / "job.yaml"
    settings = sleeping.job(model, place / "shards", place / "output", replicas)
    job.write_text(yaml.safe_dump(settings))
    return job


def _label_on_gpus(path: str, replicas: int) -> None:
    """As `labelmill label` on a cluster of eight GPUs, which the engine does without."""
    import ray

    from labelmill import pipeline
    from labelmill.cli.loading import load
    from labelmill.config.resources import ResourcesSection
    from labelmill.ledger.attempts import Attempt
    from labelmill.ledger.run import Run
    from labelmill.pipeline.ray_run import RayRunner
    from labelmill.plan.briefing import make_recipe
    from labelmill.plan.plan import make_plan
    from labelmill.plan.runtime import resolve
    from labelmill.stages.read import ReadWork

    job = load(path, ())
    there = pipeline.Cluster(nodes=1, cores=_GPUS, cpus=_GPUS, gpus=_GPUS)
    shape = pipeline.shape(ResourcesSection(replicas=replicas), there, "cuda", "scoring", 1)
    ray.init(num_cpus=_GPUS, num_gpus=_GPUS, include_dashboard=False, log_to_driver=False)
    plan = make_plan(job, functools.partial(resolve, gpus=0))
    run = Run.open(job.output.path, plan.manifest, plan.listing.shards, attempt=Attempt())
    recipe = make_recipe(plan, run.manifest, threads=1, attempt=run.attempt.name)
    works = [ReadWork(shard=w.shard, generation=w.generation, done=w.done) for w in run.pending()]
    runner = RayRunner(there)
    for event in runner.run(recipe, works, shape, lambda: False):
        if isinstance(event, pipeline.Committed):
            run.record(event.receipt)
    run.seal()
    ray.shutdown()


def _line(output: Path, replicas: int, seconds: float) -> Told:
    """The rate of a run that has ended."""
    times = sorted(entry["time"] for entry in State(open_store(str(output))).entries())
    steady = times[replicas - 1 : len(times) - replicas]
    rate = (len(steady) - 1) / (steady[-1] - steady[0])
    told = {"replicas": replicas, "splits": len(times), "rate": rate}
    told["busy"] = rate * seconds / replicas
    print(output.parent.name, told, file=sys.stderr)
    return told


def _compare(lines: dict[str, Told]) -> None:
    for kind in ("replicas", "drivers"):
        alone = lines.get(f"1 {kind}")
        for name, line in lines.items():
            if alone is not None and name.endswith(kind):
                line["of_linear"] = line["rate"] / alone["rate"] / int(name.split()[0])


def _show(told: Told) -> None:
    table = Table(title=f"a split takes a replica {told['seconds']:g} s")
    for name in ("", "replicas in all", "splits", "splits/s", "of linear", "busy"):
        table.add_column(name, justify="right" if name else "left")
    for name, line in told["lines"].items():
        linear = line.get("of_linear")
        table.add_row(
            name,
            str(line["replicas"]),
            str(line["splits"]),
            f"{line['rate']:.3f}",
            "-" if linear is None else f"{linear:.3f}",
            f"{line['busy']:.3f}",
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
