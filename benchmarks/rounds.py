"""Rounds: one contender over one corpus, once; and what has to be there before its first round.

A contender that cannot be installed, prepared or run is kept with its reason and not tried again.
Nothing takes its place.
"""

import importlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import pyarrow.dataset as ds

from benchmarks import measuring, venvs
from benchmarks.contenders import Contender, Report
from benchmarks.setting import Setting, environment

_HIDDEN = "_labelmill"
_TOLD = 300  # characters of a reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Shards:
    """Rows that a contender gets, and how much work they are."""

    corpus: str
    place: str  # directory
    tokens: int
    flops: float | None  # of the matrix products of one forward pass over them


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One contender, once."""

    name: str
    shards: Shards
    rows: int
    seconds: float  # whole process
    steady_seconds: float
    cpu_seconds: float
    peak: int  # bytes
    peak_process: int  # bytes
    facts: Mapping[str, object]
    labels: Mapping[int, str]  # row -> label; empty where it gives none


class Runner:
    """Runs contenders, and remembers which cannot be run."""

    def __init__(self, setting: Setting, scratch: Path, limit: float) -> None:
        """`setting` holds what is the same for all; `limit` is the seconds of one command."""
        self._setting = setting
        self._scratch = scratch
        self._environment = environment(str(scratch / "home"))
        self._limit = limit
        self._pythons: dict[str, str] = {}
        self.prepared: dict[str, float] = {}  # seconds
        self.absent: dict[str, str] = {}  # name -> reason

    def prepare(self, contender: Contender, sample: Path) -> None:
        """Make its environment, and of the model what a user makes once; on rows of `sample`."""
        try:
            self._pythons[contender.name] = venvs.python_of(contender.venv)
            if contender.prepares:
                self.prepared[contender.name] = self._prepared(contender, sample)
        except (venvs.NotInstallableError, measuring.CommandFailedError) as error:
            self._missing(contender, error)

    def round(self, contender: Contender, shards: Shards, turn: int) -> Round | None:
        """None where it cannot be run."""
        if contender.name in self.absent:
            return None
        output = self._scratch / f"{contender.name}-{shards.corpus}-{turn}"
        setting = self._of(contender, shards.place, output)
        try:
            usage = self._run(contender, setting)
            report = _report(contender, setting, usage.stdout)
        except measuring.CommandFailedError as error:
            self._missing(contender, error)
            return None
        return Round(
            name=contender.name,
            shards=shards,
            rows=report.rows,
            seconds=usage.seconds,
            steady_seconds=report.steady_seconds,
            cpu_seconds=usage.cpu_seconds,
            peak=usage.peak,
            peak_process=usage.peak_process,
            facts=report.facts,
            labels=_labels(output),
        )

    def matrix_rate(self) -> dict[str, float]:
        """Precision -> FLOP/s, of this moment."""
        argv = [sys.executable, "-m", "benchmarks.matrix"]
        told = measuring.run(argv, self._environment, limit=self._limit).stdout
        return {name: float(rate) for name, rate in json.loads(told).items()}

    def _prepared(self, contender: Contender, sample: Path) -> float:
        setting = self._of(contender, str(sample), self._scratch / f"{contender.name}-prepared")
        return self._run(contender, setting, "prepare").seconds

    def _run(self, contender: Contender, setting: Setting, *rest: str) -> measuring.Usage:
        if contender.module == "labelmill":
            argv = _labelmill().command(setting)
        else:
            module = f"benchmarks.contenders.{contender.module}"
            argv = [*setting.argv(module, self._pythons[contender.name]), *rest]
        return measuring.run(argv, self._environment, limit=self._limit)

    def _of(self, contender: Contender, shards: str, output: Path) -> Setting:
        return replace(
            self._setting,
            prepared=str(self._scratch / "prepared" / contender.name),
            shards=shards,
            output=str(output),
            precision="float32" if contender.precision == "float32" else self._setting.precision,
            int8=contender.precision == "int8",
            runner=contender.runner,
        )

    def _missing(self, contender: Contender, error: Exception) -> None:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        self.absent[contender.name] = lines[-1][-_TOLD:] if lines else repr(error)
        print(f"{contender.name} cannot be run:\n{error}", file=sys.stderr)


def _report(contender: Contender, setting: Setting, stdout: str) -> Report:
    if contender.module == "labelmill":
        report: Report = _labelmill().report(setting)
        return report
    return Report.from_stdout(stdout)


def _labelmill() -> ModuleType:
    """Imported when it is needed: it brings the project's own modules."""
    return importlib.import_module("benchmarks.contenders.labelmill")


def _labels(output: Path) -> dict[int, str]:
    """What a contender wrote: row -> label."""
    parts = [str(path) for path in output.rglob("*.parquet") if _HIDDEN not in path.parts]
    found = ds.dataset(parts, format="parquet")
    if "label" not in found.schema.names:
        return {}
    rows = found.to_table(["id", "label"])
    return dict(zip(rows["id"].to_pylist(), rows["label"].to_pylist(), strict=True))
