"""Loading: a job file and its overrides become one job, or one error that tells all.

Which tasks there are is not known here: a function hands in a task's class of options.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from pydantic import Field, ValidationError, create_model

from labelmill.config.document import parse_mapping
from labelmill.config.job import LabelJob
from labelmill.config.override import PLACE, apply, parse_override
from labelmill.config.problem import Problem, problems
from labelmill.config.section import Section, subsections
from labelmill.config.train_job import TrainJob
from labelmill.errors import ConfigError, StorageError
from labelmill.storage import FileMissing, open_file

OptionsClass = Callable[[str], type[Section]]
Job = TypeVar("Job", bound=Section)  # LabelJob or TrainJob
_COMMANDS: Mapping[type[Section], str] = {LabelJob: "label", TrainJob: "train"}


class _AnyOptions(Section, extra="allow"):
    """Stands in where the task is unknown, so that the rest of the job is checked all the same."""


def load_job(path: str, overrides: Sequence[str] = (), *, options_class: OptionsClass) -> LabelJob:
    """The labelling job of a file; see `load_as`."""
    return load_as(LabelJob, path, overrides, options_class=options_class)


def load_as(
    kind: type[Job], path: str, overrides: Sequence[str] = (), *, options_class: OptionsClass
) -> Job:
    """The job of the YAML file at `path` (local or a URL) with `--set` overrides laid over it.

    `options_class` gives the class of a task's options by the task's name, and raises ConfigError
    for a task that does not exist. Raises ConfigError with every problem of the job, one a line.
    """
    laid = [parse_override(text) for text in overrides]
    settings = apply(parse_mapping(_read(path), path), laid)
    _refuse_other_kind(kind, settings, path)
    job = _check(kind, settings, options_class)
    if not isinstance(job, list):
        return job
    places = [PLACE if any(o.touches(p.path) for o in laid) else path for p in job]
    raise ConfigError("\n".join(f"{place}: {p}" for place, p in zip(places, job, strict=True)))


def _refuse_other_kind(kind: type[Section], settings: Mapping[str, object], path: str) -> None:
    """Raise ConfigError for a file that has sections of another command's job, and none of ours."""
    ours = kind.model_fields.keys()
    for other, command in _COMMANDS.items():
        theirs = other.model_fields.keys()
        if settings.keys() & (theirs - ours) and not settings.keys() & (ours - theirs):
            raise ConfigError(f"{path}: this is a job of 'labelmill {command}'; run that with it")


def _check(
    kind: type[Job], settings: Mapping[str, object], options_class: OptionsClass
) -> Job | list[Problem]:
    """The job that the settings make, or all that is wrong with them."""
    unknown: list[Problem] = []
    options: type[Section] = _AnyOptions
    task = settings.get("task")
    if isinstance(task, str) and task:
        try:
            options = options_class(task)
        except ConfigError as err:
            unknown = [Problem(path=("task",), message=str(err))]
    model = job_class(options, kind)
    # A section that is left out, or whose every line is commented out, has its defaults.
    empty: dict[str, object] = {
        name: {} for name in subsections(model) if settings.get(name) is None
    }
    opened = {**settings, **empty}
    try:
        job = model.model_validate(opened)
    except ValidationError as err:
        return unknown + problems(err, model, opened)
    return unknown or kind.model_validate(dict(job))


def job_class(options: type[Section], kind: type[Section] = LabelJob) -> type[Section]:
    """The job with the class of its `options` filled in, so that one check sees the whole of it."""
    return create_model(kind.__name__, __base__=kind, options=(options, Field()))


def _read(path: str) -> bytes:
    try:
        with open_file(path) as file:
            return bytes(file.read())
    except StorageError as err:
        if isinstance(err, FileMissing) and isinstance(err.__cause__, FileNotFoundError):
            raise ConfigError(f"{path}: no such job file") from err
        raise ConfigError(f"{path}: the job file cannot be read: {err}") from err
