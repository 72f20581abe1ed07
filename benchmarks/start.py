"""`python -m benchmarks.start`: where the time of `labelmill label` goes on 1,000 short rows.

The command runs in a process of its own, a few times, on the same rows and checkpoint as
`benchmarks.label` takes; its driver notes when it comes past each step. The first run finds no
converted model in the cache, the others find it.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

STEPS = ("imports", "runner", "plan", "first split", "other splits", "seal", "runner's end", "exit")


def main() -> None:
    """Measure and print a line a run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--corpus", metavar="NAME=DIR:COLUMN", help="(default: docstrings)")
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--runner", default="auto", help="as `resources.runner`")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        _inside(asked.inside)
        return
    with tempfile.TemporaryDirectory(prefix="labelmill-start-") as scratch:
        _measure(asked, Path(scratch))


def _measure(asked: argparse.Namespace, scratch: Path) -> None:
    from benchmarks import checkpoint, corpus

    named = corpus.named([asked.corpus] if asked.corpus else [], asked.rows)
    chosen = asked.corpus.partition("=")[0] if asked.corpus else "short"
    rows = corpus.table(named[chosen])
    corpus.write(scratch / "in", rows, shards=2)
    checkpoint.build(scratch / "model", rows["text"].to_pylist()[:64], 512)
    environment = os.environ | {"HF_HOME": str(scratch / "cache"), "HF_HUB_OFFLINE": "1"}
    for repeat in range(asked.repeats):
        job = scratch / f"job-{repeat}.yaml"
        settings = {
            "task": "text-classification",
            "model": {"path": str(scratch / "model")},
            "source": {"path": str(scratch / "in")},
            "output": {"path": str(scratch / f"out-{repeat}")},
            "resources": {"runner": asked.runner},
        }
        job.write_text(yaml.safe_dump(settings), encoding="utf-8")
        argv = [sys.executable, "-m", "benchmarks.start", "--inside", str(job)]
        began = time.time()
        subprocess.run(argv, env=environment, check=True, stdout=subprocess.DEVNULL)
        ended = time.time()
        marks = [began, *json.loads(job.with_suffix(".marks").read_text("utf-8")), ended]
        spent = [round(stop - start, 2) for start, stop in itertools.pairwise(marks)]
        told = dict(zip(STEPS, spent, strict=True)) | {"whole": round(ended - began, 2)}
        print(json.dumps(told), flush=True)


def _inside(job: str) -> None:
    """The command as its entry point runs it, its steps noted beside the job file, unix seconds."""
    from labelmill import cli

    marks: list[float] = []
    group = cli.group

    def noted(**settings: Any) -> None:
        _note(marks)
        group(**settings)

    cli.group = noted  # type: ignore[assignment]  # what `main` calls, once it has set Python up
    sys.argv = ["labelmill", "label", job, "--json"]
    try:
        cli.main()
    finally:
        marks.append(time.time())
        Path(job).with_suffix(".marks").write_text(json.dumps(marks), encoding="utf-8")


def _note(marks: list[float]) -> None:
    """Import what the command imports, and have it note when it comes past each step."""
    from labelmill.cli import labelling
    from labelmill.pipeline import Committed

    committed: list[float] = []

    def now(*_: Any) -> None:
        marks.append(time.time())

    def event(_: Any, told: Any) -> None:
        if isinstance(told, Committed):
            committed.append(time.time())

    def end(*_: Any) -> None:
        marks.extend([committed[0], committed[-1], time.time()])

    now()
    _noting(labelling, "make_plan", before=now, after=now)
    _noting(labelling.Labelling, "_note", before=event)
    _noting(labelling.Labelling, "work", after=end)


def _nothing(*_: Any) -> None:
    pass


def _noting(
    owner: Any,
    name: str,
    *,
    before: Callable[..., None] = _nothing,
    after: Callable[..., None] = _nothing,
) -> None:
    """Have a function of ours tell that it begins and that it is done."""
    original = getattr(owner, name)

    def noted(*arguments: Any, **settings: Any) -> Any:
        before(*arguments)
        found = original(*arguments, **settings)
        after(*arguments)
        return found

    setattr(owner, name, noted)


if __name__ == "__main__":
    main()
