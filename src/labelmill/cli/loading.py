"""Loading a job file for a command: composes config with the tasks that are there."""

from collections.abc import Sequence

from labelmill.config.job import LabelJob
from labelmill.config.loading import load_as, load_job
from labelmill.config.section import Section
from labelmill.config.train_job import TrainJob
from labelmill.ops import plugins
from labelmill.tasks import Task


def load(path: str, overrides: Sequence[str]) -> LabelJob:
    """The job; raises ConfigError with every problem."""
    return load_job(path, overrides, options_class=_options)


def load_training(path: str, overrides: Sequence[str]) -> TrainJob:
    """The training job; raises ConfigError with every problem."""
    return load_as(TrainJob, path, overrides, options_class=_options)


def _options(task: str) -> type[Section]:
    found: type[Task] = plugins.load_class("labelmill.tasks", task)
    return found.Options
