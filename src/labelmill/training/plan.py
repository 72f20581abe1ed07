"""Plan: all that a training will do, decided before any row is encoded; nothing is written here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from labelmill import checkpoints
from labelmill.batch import ModelFacts
from labelmill.checkpoints import Checkpoint
from labelmill.config.train_job import TrainJob
from labelmill.errors import ConfigError
from labelmill.ops import plugins
from labelmill.storage import absolute, is_local, is_object_store, refuse_no_room
from labelmill.tasks import Trainable, is_trainable, training_defaults
from labelmill.training import corpus, labelling, manifest, weights
from labelmill.training.arguments import arguments, refuse_unknown_metric, refuse_without_gpus
from labelmill.training.dataset import sources
from labelmill.training.exporting import results_of
from labelmill.training.manifest import TrainManifest
from labelmill.training.preparing import Preparation
from labelmill.training.ray_group import Group
from labelmill.training.state import State

Finished = Mapping[str, Any]  # what `exporting.RESULTS` holds


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
    def state(self) -> State:
        """Where everything else lies."""
        return State.beside(self.result)


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
    _refuse_weights(job, task, facts)
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


def _refuse_weights(job: TrainJob, task: Trainable, facts: ModelFacts) -> None:
    """Where the rows need not be seen for it: whether labels are numbers they alone say."""
    objective = task.objective(facts, job.options)
    if objective != "numbers":
        weights.refuse(job.data.class_weights, objective)


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
