"""Recipe: everything that a worker must know of a run, frozen when the run starts.

It travels to every process, so it is small, picklable and complete: workers read no job file, no
manifest and no ledger.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from labelmill.batch import ModelFacts
from labelmill.checkpoints import Checkpoint
from labelmill.config.job import LabelJob
from labelmill.config.section import Section
from labelmill.formats import ReadRequest
from labelmill.ledger.manifest import Manifest
from labelmill.plan.plan import Plan
from labelmill.storage import open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What runs the model, resolved: never `auto`."""

    engine: str
    precision: str
    device: str  # "cpu" or "cuda"
    threads: int  # CPU threads of one replica
    budget: int | None  # tokens a microbatch; None: the engine's default for its device
    min_agreement: float  # share of sampled rows whose label must equal float32's


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRecipe:
    """What a part looks like and where it goes."""

    url: str
    format: str
    schema: pa.Schema  # every column of a part, in order; without the raw line of JSON Lines
    prefix: str
    position: bool
    on_bad_row: str  # reject | null | fail
    on_bad_shard: str  # skip | fail
    reject_text: bool
    provenance: Mapping[str, str]  # nothing that differs between attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The run as its workers see it."""

    task: str
    options: Section
    checkpoint: Checkpoint
    facts: ModelFacts
    request: ReadRequest  # without what is done: that is a shard's own
    runtime: Runtime
    output: OutputRecipe
    attempt: str


def make_recipe(plan: Plan, manifest: Manifest, *, threads: int, attempt: str) -> Recipe:
    """What workers get to know of the run that has this manifest."""
    budget = plan.job.resources.microbatch_tokens
    return Recipe(
        task=plan.job.task,
        options=plan.job.options,
        checkpoint=plan.checkpoint,
        facts=plan.facts,
        request=_request(plan, manifest),
        runtime=Runtime(
            engine=plan.resolved.engine,
            precision=plan.resolved.precision,
            device=plan.resolved.device,
            threads=threads,
            budget=None if budget == "auto" else budget,
            min_agreement=plan.job.model.min_agreement,
        ),
        output=_output(plan.job, manifest),
        attempt=attempt,
    )


def _request(plan: Plan, manifest: Manifest) -> ReadRequest:
    reading = plan.reading
    return ReadRequest(
        rule=manifest.rule,
        fields=reading.binding.columns,
        optional=reading.binding.optional,
        kept=manifest.source_schema,
        raw=reading.raw,
        reserved=frozenset(manifest.schema.names) - frozenset(manifest.source_schema.names),
    )


def _output(job: LabelJob, manifest: Manifest) -> OutputRecipe:
    settings, told = manifest.settings, manifest.provenance
    return OutputRecipe(
        url=open_store(job.output.path).url,
        format=job.output.format,
        schema=manifest.schema,
        prefix=job.output.prefix,
        position=job.output.position,
        on_bad_row=job.source.on_bad_row,
        on_bad_shard=job.source.on_bad_shard,
        reject_text=job.output.reject_text,
        provenance={
            "version": manifest.labelmill_version,
            "fingerprint": manifest.fingerprint,
            "task": job.task,
            "model": told["model"],
            "revision": told["revision"] or "",
            "model_digest": settings["model.digest"],
            "precision": settings["model.precision"],
        },
    )
