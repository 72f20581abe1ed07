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

from pydantic import JsonValue

from labelmill import checkpoints
from labelmill.batch import ModelFacts
from labelmill.checkpoints import Checkpoint
from labelmill.checkpoints.sentence_files import sentence_files
from labelmill.config.train_job import TrainJob
from labelmill.errors import ConfigError, LedgerError, StorageError
from labelmill.learning import Head
from labelmill.ops import plugins
from labelmill.storage import absolute, is_local, is_object_store, refuse_no_room
from labelmill.tasks import Trainable, is_trainable, model_class, sentence, training_defaults
from labelmill.training import corpus, labelling, manifest, ray_group, weights
from labelmill.training.arguments import (
    arguments,
    metric,
    refuse_unknown_metric,
    refuse_without_gpus,
)
from labelmill.training.dataset import sources
from labelmill.training.exporting import export, results_of
from labelmill.training.manifest import Data, TrainManifest
from labelmill.training.preparing import Learning, Preparation, Say, Wished, headed, never
from labelmill.training.ray_group import Group, Kept, Show
from labelmill.training.recipe import ModelRecipe, TrainRecipe
from labelmill.training.results import computed_in, results
from labelmill.training.state import State

Finished = Mapping[str, Any]  # what `exporting.RESULTS` holds
Papers = Callable[[Finished], Mapping[str, bytes]]  # files for people, by name


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The decisions before any row is encoded."""

    job: TrainJob
    task: Trainable
    checkpoint: Checkpoint
    facts: ModelFacts
    preparation: Preparation
    group: Group
    settings: Mapping[str, JsonValue]  # that can change the result
    result: str  # absolute path or URL
    finished: Finished | None  # the result that is there
    begun: bool  # whether there is an earlier attempt to go on with

    @property
    def place(self) -> Path:
        """The directory of a result that lies on a disk."""
        return Path(self.result)

    @property
    def state(self) -> State:
        """Where everything else lies."""
        return State.beside(self.result)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """All that the workers need, and what the result is made with."""

    recipe: TrainRecipe
    manifest: TrainManifest
    processor: Any


def make_plan(job: TrainJob, group: Callable[[], Group]) -> Plan:
    """Look at model, data and output; raises ConfigError, InputError, ModelError, LedgerError.

    `group` is asked once, after everything else was found to be in order.
    """
    result = _result(job)
    task = _task(job)
    checkpoint = checkpoints.resolve(
        job.model.path,
        job.model.revision,
        trust_remote_code=job.model.trust_remote_code,
        allow_pickle=job.model.allow_pickle,
    )
    facts = checkpoints.facts(checkpoint, task.processor)
    training = job.training.settled(training_defaults(task, facts))
    job = job.model_copy(update={"training": training})
    preparation = _preparation(job, task)
    measured = job.data.has_validation or job.data.validation_fraction > 0
    refuse_unknown_metric(job.training, labelling.metrics(task, job.training))
    arguments(job.training, measured=measured, device="cpu")
    if labelling.is_wanted(task, job.training):
        labelling.scorer_of(task, facts, job.options)
    workers = group()
    refuse_without_gpus(job.training, workers=workers.workers, device=workers.device)
    digests = preparation.digests | {"model.digest": checkpoint.digest}
    settings = manifest.settings(job, digests=digests, workers=workers.workers)
    state = State.beside(result)
    standing = TrainManifest.load(state.store)
    finished = results_of(result, begun=standing is not None)
    if finished is not None:
        manifest.refuse_other(finished["settings"], settings, result)
    elif standing is not None and state.has_checkpoints:
        manifest.refuse_other(standing.settings, settings, state.url)
    return Plan(
        job=job, task=task, checkpoint=checkpoint, facts=facts, preparation=preparation,
        group=workers, settings=settings, result=result, finished=finished,
        begun=standing is not None and standing.settings == settings,
    )  # fmt: skip


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


def _result(job: TrainJob) -> str:
    url = absolute(job.output.path)
    if not is_local(url) and not is_object_store(url):
        raise ConfigError(
            f"output.path: {job.output.path!r} found, expected a directory on a disk that all "
            "workers share, or one behind s3://, gs:// or abfs://"
        )
    if not is_local(url) and "/" not in url.partition("://")[2]:
        raise ConfigError(
            f"output.path: {job.output.path!r} is a whole bucket, expected a directory in one, as "
            "the checkpoints lie beside it; add a name"
        )
    refuse_no_room(job.output.path)
    refuse_no_room(State.beside(job.output.path).url)
    return url


def _task(job: TrainJob) -> Trainable:
    task: Trainable = plugins.load_class("labelmill.tasks", job.task)()
    if not is_trainable(task):
        raise ConfigError(f"task: models cannot be trained for {job.task!r}, only be used")
    return task


def _preparation(job: TrainJob, task: Trainable) -> Preparation:
    data = job.data
    train, *back = (corpus.find(files, data.columns, task) for files in sources(data))
    return Preparation(data, job.training.seed, train, back[0] if back else None)


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
