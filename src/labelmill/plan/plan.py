"""Plan: all that a job will do, decided before anything is started.

A new run is surveyed: columns, types, what each `auto` means. A run that is there is taken as its
manifest says. Nothing is written here.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

import labelmill
from labelmill import checkpoints, engines
from labelmill.batch import ModelFacts
from labelmill.checkpoints import Checkpoint
from labelmill.checkpoints.heads import names_head
from labelmill.config.fingerprint import result_settings
from labelmill.config.job import LabelJob
from labelmill.engines import Use
from labelmill.ledger.manifest import Manifest
from labelmill.ledger.part_names import require_names
from labelmill.masking import masked
from labelmill.ops import plugins
from labelmill.ops.columns import output_schema
from labelmill.ops.fields import TYPES
from labelmill.plan.reading import Reading, first_reading, next_reading
from labelmill.plan.runtime import (
    Corpus,
    Resolved,
    cut_rule,
    refuse_no_compiling,
    standing_choice,
    use_of,
)
from labelmill.readouts import Embedding
from labelmill.source import Listing, list_shards, refuse_overlap
from labelmill.storage import open_store, refuse_no_room
from labelmill.tasks import Fields, Task, Work

# Engine and precision as wanted, and what for -> as they will be.
Resolver = Callable[[str, str, Use], Resolved]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The decisions."""

    job: LabelJob
    listing: Listing
    checkpoint: Checkpoint
    facts: ModelFacts
    work: Work
    resolved: Resolved
    reading: Reading
    manifest: Manifest  # as this job would begin the run, or go on with the one that is there
    resumes: bool


def make_plan(job: LabelJob, resolve: Resolver) -> Plan:
    """Look at model, source and output directory; raises ConfigError, InputError, ModelError.

    `resolve` is asked once, after everything else was found to be in order.
    """
    refuse_no_room(job.output.path)
    refuse_overlap(job.source.path, job.output.path)
    store = open_store(job.output.path)
    standing = Manifest.load(store)
    if standing is not None:
        standing.require(_named(job), store.url)
    listing = list_shards(job.source.path, job.source.format)
    require_names(listing.shards, job.output.format)
    checkpoint = checkpoints.resolve(
        job.model.path,
        job.model.revision,
        trust_remote_code=job.model.trust_remote_code,
        allow_pickle=job.model.allow_pickle,
    )
    task: Task = plugins.load_class("labelmill.tasks", job.task)()
    facts = checkpoints.facts(checkpoint, task.processor)
    added = task.schema(facts, job.options)
    # What the engine would refuse in the middle of the job, such as a language, is refused here.
    processor = checkpoints.processor(checkpoint, task.processor)
    use = use_of(task, processor, facts, job.options, own_code=job.model.trust_remote_code)
    if standing is None:
        reading = first_reading(job, task.fields, added, listing.shards)
    else:
        reading = next_reading(job, task.fields, standing, listing.shards)
    task.encode(_no_rows(reading), processor, facts, job.options)  # a max_length without room, say
    wanted = standing_choice(standing.settings if standing else None, job)
    resolved = resolve(*wanted, use)
    refuse_no_compiling(job, resolved, task.work)
    _refuse_no_head(checkpoint, facts, use, resolved.engine)
    corpus = Corpus(rows=reading.rows, size=sum(shard.size for shard in listing.shards))
    draft = _Draft(job, reading, checkpoint, resolved, added, task.work, corpus)
    return Plan(
        job=job,
        listing=listing,
        checkpoint=checkpoint,
        facts=facts,
        work=task.work,
        resolved=resolved,
        reading=reading,
        manifest=draft.manifest(standing),
        resumes=standing is not None,
    )


def _refuse_no_head(checkpoint: Checkpoint, facts: ModelFacts, use: Use, engine: str) -> None:
    """Raise ModelError before there is a run, which takes no other model.

    Modules of models take seconds to import: only where config.json leaves a doubt.
    """
    pooler = isinstance(use.readout, Embedding) and use.readout.pooling == "pooler"
    if use.auto_class and (pooler or not names_head(facts, use.auto_class)):
        engines.examine(engine, checkpoint, use.auto_class, use.readout)


def _named(job: LabelJob) -> dict[str, str]:
    """What the job says itself of its task, engine and precision."""
    said = {"task": job.task, "model.engine": job.model.engine}
    said["model.precision"] = job.model.precision
    return {name: value for name, value in said.items() if value != "auto"}


def _no_rows(reading: Reading) -> Fields:
    """What `Task.encode` gets of a split without a good row; it refuses options all the same."""
    bound = reading.binding
    return {name: pa.nulls(0, TYPES[bound.kinds.get(name, "text")]) for name in bound.columns}


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a manifest is made of."""

    job: LabelJob
    reading: Reading
    checkpoint: Checkpoint
    resolved: Resolved
    added: pa.Schema
    work: Work
    corpus: Corpus

    def manifest(self, standing: Manifest | None) -> Manifest:
        """This job's manifest; what only tells of a run is taken from the one that is there."""
        there = standing.rule if standing else None
        rule = cut_rule(self.job.source, self.resolved.device, self.work, there, self.corpus)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Manifest(
            labelmill_version=standing.labelmill_version if standing else labelmill.__version__,
            created=standing.created if standing else now,
            settings=self._settings()
            | {f"cut.{key}": value for key, value in asdict(rule).items()},
            provenance=standing.provenance if standing else self._provenance(),
            part_format=self.job.output.format,
            schema=self._schema(),
            source_schema=self.reading.kept,
            rule=rule,
        )

    def _settings(self) -> dict[str, Any]:
        chosen = result_settings(self.job)
        bound = self.reading.binding.columns.items()
        return (
            {key: value for key, value in chosen.items() if not key.startswith("source.columns")}
            | {f"source.columns.{field}": column for field, column in bound}
            | {
                "output.raw": self.reading.raw,
                "model.digest": self.checkpoint.digest,
                "model.engine": self.resolved.engine,
                "model.precision": self.resolved.precision,
            }
        )

    def _schema(self) -> pa.Schema:
        return output_schema(
            self.reading.kept,
            self.added,
            prefix=self.job.output.prefix,
            position=self.job.output.position,
            error=self.job.source.on_bad_row == "null",
        )

    def _provenance(self) -> dict[str, Any]:
        return {
            "model": masked(self.checkpoint.source),
            "revision": self.checkpoint.revision,
            "source": [masked(path) for path in self.job.source.path],
            "device": self.resolved.device,
        }
