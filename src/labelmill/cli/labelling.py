"""`labelmill label`: a job file becomes a plan, the plan a run, events what a person sees."""

import contextlib
import functools
import importlib
import threading
from collections.abc import Sequence

from labelmill import engines, pipeline
from labelmill.cli import console
from labelmill.cli.interrupt import Interrupt
from labelmill.cli.loading import load
from labelmill.config.job import LabelJob
from labelmill.config.resources import ResourcesSection
from labelmill.engines import Use
from labelmill.errors import UnfinishedRun
from labelmill.ledger.attempts import Attempt
from labelmill.ledger.names import ROOT
from labelmill.ledger.opening import require_openable
from labelmill.ledger.run import Run, ShardWork
from labelmill.ledger.status import Status, read_status, status_of
from labelmill.pipeline import Committed, Event, Runner, Shape
from labelmill.plan.briefing import make_recipe
from labelmill.plan.plan import Plan, make_plan
from labelmill.plan.recipe import Recipe
from labelmill.plan.runtime import Resolved, resolve
from labelmill.reports.dry_run import DryRun
from labelmill.reports.outlook import Outlook
from labelmill.reports.progress import Progress
from labelmill.reports.summary import summary
from labelmill.stages.quantization import with_int8
from labelmill.stages.read import ReadWork
from labelmill.storage import join, open_store

WHOLE, UNFINISHED, SPOILT = 0, 3, 4  # exit codes; the others are the errors' own

Slice = tuple[int, int]
_SLOW = "labelmill.checkpoints.loading"


def label(
    path: str, overrides: Sequence[str], slice_: Slice | None, *, as_json: bool, verbose: bool
) -> int:
    """Run the job; the exit code."""
    job = load(path, overrides)
    # Seconds of imports, torch among them, while Ray or the first replica starts.
    ahead = threading.Thread(target=importlib.import_module, args=(_SLOW,))
    ahead.start()
    with Progress() as progress, pipeline.runner_of(job.resources, verbose=verbose) as runner:
        ahead.join()
        plan = make_plan(job, functools.partial(_resolve, job, runner))
        labelling = Labelling(plan, runner, slice_, progress)
        with Interrupt() as interrupt:
            labelling.work(interrupt)
    status = read_status(job.output.path)
    console.result(status.to_json() if as_json else summary(status))
    code, why = labelling.verdict(status)
    if why:
        console.note(why)
    return code


def describe(path: str, overrides: Sequence[str], slice_: Slice | None, *, as_json: bool) -> None:
    """Print what the job would do, as this machine would do it; starts no Ray, writes nothing.

    What the job itself would refuse is refused here too.
    """
    job = load(path, overrides)
    plan = make_plan(job, functools.partial(resolve, gpus=_gpus(job.resources)))
    state = require_openable(job.output.path, plan.manifest, plan.listing.shards)
    # In the run's order, which those of earlier attempts begin: see `Run.pending`.
    known = [path for path, _ in state.coverage.items()] if state else []
    shards = list(dict.fromkeys([*known, *(shard.path for shard in plan.listing.shards)]))
    first, step = slice_ or (0, 1)
    told = DryRun(
        plan=plan,
        status=status_of(open_store(job.output.path), state) if state else None,
        mine=frozenset(shards[first::step]),
        replicas=str(job.resources.replicas),
    )
    console.result(told.to_json() if as_json else told.render())


class Labelling:
    """One attempt at a run, from its opening to its seal."""

    def __init__(
        self, plan: Plan, runner: Runner, slice_: Slice | None, progress: Progress
    ) -> None:
        self._plan = plan
        self._slice = slice_
        self._progress = progress
        self._runner = runner
        resolved = plan.resolved
        most = engines.most_threads(resolved.engine)
        self._shape = pipeline.shape(
            plan.job.resources, runner.cluster, resolved.device, plan.work, most
        )
        self._run = self._open()
        self._works = self._run.pending(slice_)
        self._outlook = self._look()
        self._stop: str | None = None  # why the job is to stop early

    def work(self, interrupt: Interrupt) -> None:
        """Label what is pending and seal the run where nothing is left."""
        self._tell()
        try:
            if self._works:
                self._label(interrupt)
        finally:
            self._run.close()
        if self._stop is None:
            self._seal()
        self._tell_litter()

    def _seal(self) -> None:
        """Declare the run whole; a driver of one slice may not be the last to end."""
        try:
            self._run.seal()
        except UnfinishedRun as unfinished:
            # Of the slice, too, if a part of it was lost meanwhile.
            if self._slice is None or self._run.pending(self._slice):
                raise
            waiting = str(unfinished).partition(";")[0]  # what it advises is for another command
            self._progress.say(
                f"this slice is done: {waiting}; the driver that ends last seals the run"
            )

    def _tell_litter(self) -> None:
        if self._run.undeleted is not None:
            self._progress.say(
                f"nothing is lost, but every attempt opens the run more slowly, as receipts that "
                f"are not needed cannot be deleted: {self._run.undeleted}; allow deletion below "
                f"{join(self._plan.job.output.path, ROOT)!r} (on S3: s3:DeleteObject)"
            )

    def verdict(self, status: Status) -> tuple[int, str]:
        """The exit code, and the reason where it is not 0."""
        done = status.complete or (self._slice is not None and self._stop is None)
        allowed = self._plan.job.output.max_rejected
        return judged(status, allowed, done=done, spoilt=self._stop == _TOO_MANY)

    def _open(self) -> Run:
        plan, shape = self._plan, self._shape
        attempt = Attempt(resources={"runner": self._runner.name, **_resources(plan, shape)})
        return Run.open(plan.job.output.path, plan.manifest, plan.listing.shards, attempt=attempt)

    def _label(self, interrupt: Interrupt) -> None:
        recipe = make_recipe(
            self._plan,
            self._run.manifest,
            threads=self._shape.threads,
            attempt=self._run.attempt.name,
        )
        recipe = self._quantized(recipe)
        works = [
            ReadWork(shard=work.shard, generation=work.generation, done=work.done)
            for work in self._works
        ]
        stopping = functools.partial(self._stopping, interrupt)
        events = self._runner.run(recipe, works, self._shape, stopping)
        with contextlib.closing(events):
            for event in events:
                self._note(event)

    def _note(self, event: Event) -> None:
        if isinstance(event, Committed):
            if self._run.record(event.receipt):
                self._outlook.committed(event.receipt)
        else:
            self._outlook.flying(event.rows, event.tokens)
        self._progress.show(self._outlook.view())

    def _quantized(self, recipe: Recipe) -> Recipe:
        """With the run's model in int8, where that is its precision."""
        if recipe.runtime.precision != "int8":
            return recipe
        self._progress.say("int8: taking the run's model, or calibrating and comparing it now")
        begun = self._run.totals().splits_done > 0
        question = functools.partial(with_int8, recipe, self._plan.listing.shards, begun=begun)
        return self._runner.ask(question, gpus=0)

    def _stopping(self, interrupt: Interrupt) -> bool:
        if self._stop is None and interrupt.wished:
            self._stop = _ASKED
        if self._stop is None and self._too_many():
            self._stop = _TOO_MANY
        if self._stop is not None:
            self._progress.say(f"stopping after the splits that are being predicted: {self._stop}")
        return self._stop is not None

    def _too_many(self) -> bool:
        """Whether output.max_rejected can no longer be met."""
        return self._outlook.exceeds(self._plan.job.output.max_rejected)

    def _look(self) -> Outlook:
        everything = self._works if self._slice is None else self._run.pending()
        return Outlook(
            {shard.path: shard for shard in self._plan.listing.shards},
            rows_total=self._plan.reading.rows,
            before=self._run.covered(),
            mine=_bytes(self._works) / (_bytes(everything) or 1),
        )

    def _tell(self) -> None:
        plan, say = self._plan, self._progress.say
        for path in plan.listing.foreign:
            say(f"left alone, not of a known format: {path}")
        for path in self._run.foreign:
            say(f"in the output directory, but not of this run: {path}")
        for path, reason in plan.reading.unreadable.items():
            say(f"shard {path!r} cannot be opened: {reason}")
        verb = "resuming" if plan.resumes else "starting"
        shards = f"{len(self._works):,} of {len(plan.listing.shards):,} shards"
        say(
            f"{verb} {plan.job.output.path}: {shards} pending, "
            f"{self._shape.replicas} replicas on {plan.resolved.device} "
            f"({plan.resolved.engine}, {plan.resolved.precision}; runner {self._runner.name})"
        )


_ASKED = "asked to; once more stops at once; run the same command again to go on"
_TOO_MANY = "output.max_rejected can no longer be met"


def judged(status: Status, allowed: float, *, done: bool, spoilt: bool) -> tuple[int, str]:
    """The exit code of an attempt, and the reason where it is not 0.

    `done`: it has labelled what it had to. `spoilt`: it stopped for its rejects, which may be fewer
    than `allowed` of the rows that the splits in flight have added.
    """
    share = status.rows_rejected / status.rows_read if status.rows_read else 0.0
    if share > allowed and (done or spoilt):
        found = f"{status.rows_rejected:,} of {status.rows_read:,} rows ({share:.2%})"
        return SPOILT, f"{found} were rejected, output.max_rejected allows {allowed:.2%}"
    if not done:
        return UNFINISHED, "the run is not whole; run the same command again to go on"
    if status.shards_damaged:
        return SPOILT, f"{status.shards_damaged:,} shards are damaged; replace them and run again"
    return WHOLE, ""


def _resolve(job: LabelJob, runner: Runner, engine: str, precision: str, use: Use) -> Resolved:
    """Ask where a replica would run."""
    gpus = pipeline.gpus_wanted(job.resources, runner.cluster)
    return runner.ask(functools.partial(resolve, engine, precision, use, gpus=gpus), gpus=gpus)


def _gpus(resources: ResourcesSection) -> float | None:
    """Of one replica on this machine; None: one where there is any."""
    if pipeline.chosen(resources) == "local":
        return 0.0
    return None if resources.gpus_per_replica == "auto" else resources.gpus_per_replica


def _bytes(works: Sequence[ShardWork]) -> int:
    return sum(work.shard.size for work in works)


def _resources(plan: Plan, shape: Shape) -> dict[str, object]:
    return {
        "replicas": shape.replicas,
        "gpus_per_replica": shape.gpus_per_replica,
        "threads": shape.threads,
        "device": plan.resolved.device,
    }
