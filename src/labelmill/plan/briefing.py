"""Briefing: what workers get to know of a run, made of the plan and the manifest that stands."""

from labelmill import checkpoints
from labelmill.checkpoints import FastTokenizer
from labelmill.config.job import LabelJob
from labelmill.formats import ReadRequest
from labelmill.ledger.manifest import Manifest
from labelmill.ops import plugins
from labelmill.plan.plan import Plan
from labelmill.plan.recipe import OutputRecipe, Recipe, Runtime
from labelmill.storage import open_store
from labelmill.tasks import Task


def make_recipe(plan: Plan, manifest: Manifest, *, threads: int, attempt: str) -> Recipe:
    """What workers get to know of the run that has this manifest."""
    budget = plan.job.resources.microbatch_tokens
    return Recipe(
        task=plan.job.task,
        options=plan.job.options.begun(manifest.created[: len("YYYY-MM-DD")]),
        checkpoint=plan.checkpoint,
        facts=plan.facts,
        tokenizer=_tokenizer(plan),
        request=_request(plan, manifest),
        runtime=Runtime(
            engine=plan.resolved.engine,
            precision=plan.resolved.precision,
            device=plan.resolved.device,
            threads=threads,
            budget=None if budget == "auto" else budget,
            min_agreement=plan.job.model.min_agreement,
            compiled=plan.job.resources.compile,
        ),
        output=_output(plan.job, manifest),
        attempt=attempt,
    )


def _tokenizer(plan: Plan) -> FastTokenizer | None:
    """As plain data, where that is all that the task wants."""
    task: Task = plugins.load_class("labelmill.tasks", plan.job.task)()
    # Who writes fills chat templates and decodes, which takes transformers' own tokenizer.
    wanted = task.processor == "AutoTokenizer" and task.work != "generating"
    return checkpoints.fast_tokenizer(plan.checkpoint) if wanted else None


def _request(plan: Plan, manifest: Manifest) -> ReadRequest:
    reading = plan.reading
    return ReadRequest(
        rule=manifest.rule,
        fields=reading.binding.columns,
        optional=reading.binding.optional,
        kinds={
            name: kind
            for name, kind in reading.binding.kinds.items()
            if name in reading.binding.columns
        },
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
