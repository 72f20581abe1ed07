"""`labelmill train`: a job file becomes a plan, the plan a model, standings what a person sees."""

from collections.abc import Sequence

from labelmill.cli import console
from labelmill.cli.interrupt import Interrupt
from labelmill.cli.loading import load_training
from labelmill.config.train_job import TrainJob
from labelmill.engines import best_device
from labelmill.pipeline.cluster import Cluster
from labelmill.pipeline.ray_session import session
from labelmill.reports import training_card
from labelmill.reports.training import TrainingProgress, finished, planned
from labelmill.threads import cores
from labelmill.training import finetune, ray_group
from labelmill.training.plan import Plan, make_plan
from labelmill.training.ray_group import Group


def train(path: str, overrides: Sequence[str], *, as_json: bool, verbose: bool) -> int:
    """Run the job; the exit code."""
    job = load_training(path, overrides)
    with TrainingProgress() as progress, session(verbose=verbose) as cluster:
        plan = make_plan(job, lambda: _group(job, cluster))
        with Interrupt() as interrupt:
            told = finetune.fine_tune(
                plan,
                say=progress.say,
                show=progress.show,
                wished=lambda: interrupt.wished,
                papers=training_card.papers,
            )
    console.result(dict(told) if as_json else finished(told))
    return 0


def describe(path: str, overrides: Sequence[str], *, as_json: bool) -> None:
    """Print what the job would do, as this machine would do it; starts no Ray, writes nothing."""
    job = load_training(path, overrides)
    count = cores()
    gpus = 1.0 if best_device() == "cuda" else 0.0
    here = Cluster(nodes=1, cores=count, cpus=float(count), gpus=gpus)
    plan = make_plan(job, lambda: _group(job, here))
    told = _told(plan)
    console.result(told if as_json else planned(told))


def _group(job: TrainJob, cluster: Cluster) -> Group:
    return ray_group.group(job.resources, nodes=cluster.nodes, cpus=cluster.cpus, gpus=cluster.gpus)


def _told(plan: Plan) -> dict[str, object]:
    """The plan in a few words; of rows nothing is known yet."""
    training = plan.job.training
    return {
        "task": plan.job.task,
        "model": plan.checkpoint.source,
        "result": plan.result,
        "standing": "finished" if plan.finished else "begun" if plan.begun else "new",
        "files": plan.preparation.files,
        "epochs": training.num_train_epochs,
        "learning_rate": training.learning_rate,
        "batch": training.per_device_train_batch_size,
        "workers": plan.group.workers,
        "device": plan.group.device,
        "cpus_per_worker": plan.group.cpus,
        "gpus_per_worker": plan.group.gpus,
    }
