"""A whole job in one process, without Ray: the real plan, stages and ledger, split by split."""

import contextlib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from labelmill.cli.loading import load
from labelmill.config.job import LabelJob
from labelmill.errors import UnfinishedRun
from labelmill.ledger.attempts import Attempt
from labelmill.ledger.run import Run
from labelmill.ledger.status import Status, read_status
from labelmill.ops import plugins
from labelmill.ops.fields import Field, flat
from labelmill.plan.briefing import make_recipe
from labelmill.plan.plan import Plan, make_plan
from labelmill.plan.recipe import Recipe
from labelmill.plan.runtime import resolve
from labelmill.stages.board import Board
from labelmill.stages.predict import Replica
from labelmill.stages.quantization import with_int8
from labelmill.stages.read import ReadWork, read
from labelmill.stages.tokenize import tokenize
from labelmill.stages.write import write


def job_of(directory: Path, settings: Mapping[str, Any]) -> LabelJob:
    """The job of these settings, through a job file as a user writes it."""
    path = directory / "job.yaml"
    path.write_text(yaml.safe_dump(dict(settings)), encoding="utf-8")
    return load(str(path), ())


def label_file(path: Path) -> Status:
    """Run the job of a job file."""
    return label(load(str(path), ()))


def plan_of(job: LabelJob) -> Plan:
    """The plan on this machine's CPU."""
    return make_plan(job, functools.partial(resolve, gpus=0))


def label(job: LabelJob, *, splits: int | None = None, board: Board | None = None) -> Status:
    """Run the job, or only its first pending `splits`; what the ledger says afterwards."""
    plan, attempt = plan_of(job), Attempt()
    run = Run.open(job.output.path, plan.manifest, plan.listing.shards, attempt=attempt)
    recipe = make_recipe(plan, run.manifest, threads=1, attempt=attempt.name)
    recipe = with_int8(recipe, plan.listing.shards, begun=bool(run.totals().splits_done))
    _work(run, recipe, splits, board or Board())
    run.close()
    try:
        run.seal()
    except UnfinishedRun:
        assert splits is not None
    return read_status(job.output.path)


def ended(job: LabelJob) -> tuple[int, str]:
    """Exit code and reason of the command on a run that has nothing left to do."""
    from labelmill.cli.interrupt import Interrupt
    from labelmill.cli.labelling import Labelling
    from labelmill.pipeline.local_run import LocalRunner
    from labelmill.reports.progress import Progress

    with Progress() as progress, contextlib.closing(LocalRunner(verbose=False)) as runner:
        labelling = Labelling(plan_of(job), runner, None, progress)
        labelling.work(Interrupt())
    return labelling.verdict(read_status(job.output.path))


def _work(run: Run, recipe: Recipe, splits: int | None, board: Board) -> None:
    replica: Replica | None = None
    left = splits
    for work in run.pending():
        todo = ReadWork(shard=work.shard, generation=work.generation, done=work.done)
        for parcel in read(todo, recipe, board):
            if left == 0:
                return
            replica = replica or Replica(recipe, board)
            receipt = write(replica.predict(tokenize(parcel, recipe, board)), recipe)
            if receipt is not None:
                assert run.record(receipt)
            left = None if left is None else left - 1


def fields_of(task: str) -> tuple[Field, ...]:
    """What the task reads of a row."""
    return flat(plugins.load_class("labelmill.tasks", task).fields)
