"""Fine-tuning: from a job to a trained model, or to where an earlier attempt stopped.

Beside the result lies its state (see `state`). A result that is there is whole, and nothing is
trained again.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labelmill import checkpoints
from labelmill.checkpoints.sentence_files import sentence_files
from labelmill.errors import LedgerError, StorageError
from labelmill.learning import Head
from labelmill.tasks import model_class, sentence
from labelmill.training import labelling, ray_group, weights
from labelmill.training.arguments import arguments, metric
from labelmill.training.exporting import export, results_of
from labelmill.training.manifest import Data, TrainManifest
from labelmill.training.plan import Finished, Plan
from labelmill.training.preparing import Learning, Say, Wished, headed, never
from labelmill.training.ray_group import Kept, Show
from labelmill.training.recipe import ModelRecipe, TrainRecipe
from labelmill.training.results import computed_in, results

Papers = Callable[[Finished], Mapping[str, bytes]]  # files for people, by name


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """All that the workers need, and what the result is made with."""

    recipe: TrainRecipe
    manifest: TrainManifest
    processor: Any


def fine_tune(plan: Plan, *, say: Say, show: Show, wished: Wished, papers: Papers) -> Finished:
    """Train what is not trained yet; what the result's own file says.

    `papers` makes the files for people that lie with the result.

    Raises UnfinishedRun where it was stopped; the same call then goes on.
    """
    if plan.finished is not None:
        say(f"{plan.result!r} is trained already; nothing to do")
        _tidy(plan, say)
        return plan.finished
    with plan.state.held(), tempfile.TemporaryDirectory(prefix="labelmill-") as room:
        _refuse_late(plan)
        plan.state.sweep()
        ready = prepare(plan, say, wished)
        say(_beginning(plan, ready))
        kept = ray_group.run(
            ready.recipe, plan.group, plan.state.url, room=Path(room), show=show, wished=wished
        )
        told = _exported(plan, ready, kept, papers)
        _tidy(plan, say)
    return told


def prepare(plan: Plan, say: Say, wished: Wished = never) -> Ready:
    """Read the data, where no earlier attempt has, and say what workers must know.

    Nothing is bound to the job before it is known that all of it can be done.
    """
    processor = checkpoints.processor(plan.checkpoint, plan.task.processor)
    today = datetime.now(UTC).date().isoformat()  # one for all rows; they are kept when it goes on
    options = plan.job.options.begun(today)
    learning = Learning(task=plan.task, options=options, facts=plan.facts, processor=processor)
    if not plan.begun:
        plan.state.discard()
    made = _prepared(plan, learning, say, wished)
    recipe = _recipe(plan, learning, made.data)
    made.save(plan.state.store)
    return Ready(recipe=recipe, manifest=made, processor=processor)


def _prepared(plan: Plan, learning: Learning, say: Say, wished: Wished) -> TrainManifest:
    standing = TrainManifest.load(plan.state.store)
    # The rows of a training that came to its end are gone, and then its result went, too.
    if standing is not None and plan.state.has_examples:
        return standing
    say("reading the data")
    head = plan.preparation.head(learning, wished)
    with plan.state.writing(labelled=_labelled(plan)) as places:
        data = plan.preparation.write(learning, head, places, say, wished)
    return TrainManifest(settings=plan.settings, data=data)


def _recipe(plan: Plan, learning: Learning, data: Data) -> TrainRecipe:
    job = plan.job
    head = Head(labels=data.labels, problem_type=data.problem_type, counts=data.counts)
    learning = headed(learning, head if data.labels else None)
    objective = plan.task.objective(learning.facts, job.options)
    weights.refuse_smoothing(job.training, objective)
    measured = data.validation > 0
    chosen = arguments(job.training, measured=measured, device=plan.group.device)
    sampling = chosen.pop("train_sampling_strategy")
    answers = labelling.metrics(plan.task, job.training)
    gold = plan.state.gold if _labelled(plan) else None
    return TrainRecipe(
        task=job.task,
        options=learning.options,
        facts=learning.facts,
        model=ModelRecipe(
            checkpoint=plan.checkpoint,
            auto_class=model_class(plan.task, plan.facts, job.options),
            labels=data.labels,
            problem_type=data.problem_type,
            config=job.model.config,
            lora=job.training.lora,
            seed=job.training.seed,
        ),
        objective=objective,
        arguments=chosen,
        weights=weights.of(job.data.class_weights, objective, data),
        metric=metric(job.training, objective, answers),
        best=job.training.load_best_model_at_end and measured,
        patience=job.training.early_stopping_patience,
        examples=plan.state.examples,
        validation=plan.state.validation if measured else None,
        board=plan.state.board,
        readout=(
            plan.task.readout(learning.processor, learning.facts, job.options)
            if objective == "in_batch_negatives" or gold is not None
            else None
        ),
        grouped=sampling == "group_by_length",
        shuffled=sampling != "sequential",
        gold=gold,
    )


def _exported(plan: Plan, ready: Ready, kept: Kept, papers: Papers) -> Finished:
    recipe = ready.recipe
    told = results(plan.job, recipe, ready.manifest, kept, plan.group) | {"path": plan.result}
    files = {**papers(told), **_sentence_files(plan)}
    export(recipe.model, kept.best, ready.processor, told, files, plan.result)
    return told


def _refuse_late(plan: Plan) -> None:
    """Raise LedgerError where another command came to its end since this one looked."""
    if results_of(plan.result, begun=True) is not None:
        raise LedgerError(
            f"{plan.result!r} was trained by another command meanwhile; run again to see it"
        )


def _tidy(plan: Plan, say: Say) -> None:
    """Who asks for a number of checkpoints gets to keep them; the result is there without it."""
    try:
        plan.state.tidy(checkpoints="save_total_limit" in plan.job.training.others)
    except StorageError as error:
        say(f"rows or checkpoints that are not needed any more stay, as they cannot go: {error}")


def _sentence_files(plan: Plan) -> dict[str, bytes]:
    """Of a model that learned embeddings, what sentence-transformers and we read of how."""
    told = sentence(plan.task, plan.facts, plan.job.options)
    if told is None:
        return {}
    return sentence_files(told, plan.facts.hidden_size or 0, Path(plan.facts.path))


def _labelled(plan: Plan) -> bool:
    return labelling.is_wanted(plan.task, plan.job.training)


def _beginning(plan: Plan, ready: Ready) -> str:
    data, group = ready.manifest.data, plan.group
    going_on = plan.state.has_checkpoints
    verb = "going on with" if going_on else "starting"
    precision = computed_in(ready.recipe.arguments)
    workers = f"{group.workers} worker{'s' if group.workers > 1 else ''}"
    return (
        f"{verb} {plan.result}: {data.train:,} examples to learn from, {data.validation:,} to "
        f"measure by{_labels(data)}; {workers} on {group.device} ({precision})"
    )


def _labels(data: Data) -> str:
    """How many, and how often the commonest and the rarest that is there."""
    there = sorted((count, name) for name, count in data.counts.items() if count)
    if len(there) < 2:
        return f", {len(data.labels)} labels" if data.counts else ""
    (least, rare), (most, common) = there[0], there[-1]
    return (
        f", {len(data.labels)} labels, from {rare!r} {least:,} times to {common!r} {most:,} times"
    )
