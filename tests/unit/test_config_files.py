"""The job files that come with labelmill."""

from pathlib import Path

import pytest
import yaml

from labelmill.config.job import LabelJob
from labelmill.config.loading import load_as, load_job
from labelmill.config.section import subsections
from labelmill.config.train_job import TrainJob
from tests.support.options import task_options

FOLDER = Path(__file__).parents[2] / "configs" / "label"
FILES = sorted(FOLDER.glob("*.yaml"))
TRAININGS = sorted((FOLDER.parent / "train").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_job_file_of_the_repository_loads(path):
    options = task_options()
    job = load_job(str(path), options_class=options.__getitem__)
    assert type(job.options) is options[job.task]


@pytest.mark.parametrize("task", task_options())
def test_task_has_a_job_file_of_its_name_with_every_setting(task):
    written = yaml.safe_load((FOLDER / f"{task}.yaml").read_text(encoding="utf-8"))
    kinds = subsections(LabelJob) | {"options": task_options()[task]}
    assert {name: set(kind.model_fields) for name, kind in kinds.items()} == {
        name: set(written[name]) for name in kinds
    }
    assert written["task"] == task


@pytest.mark.parametrize("task", task_options())
def test_job_file_with_every_setting_keeps_to_the_defaults(task):
    path = FOLDER / f"{task}.yaml"
    job = load_job(str(path), options_class=task_options().__getitem__)
    least = {"task": task, "model": {"path": job.model.path}, "output": {"path": job.output.path}}
    least["source"] = {"path": job.source.path, "columns": dict(job.source.columns)}
    kind = task_options()[task]
    required = [name for name, field in kind.model_fields.items() if field.is_required()]
    options = kind(**{name: getattr(job.options, name) for name in required})
    plain = LabelJob.model_validate({**least, "options": options})
    assert job == plain


@pytest.mark.parametrize("path", TRAININGS, ids=lambda path: path.stem)
def test_training_job_file_of_the_repository_loads(path):
    options = task_options()
    job = load_as(TrainJob, str(path), options_class=options.__getitem__)
    assert type(job.options) is options[job.task]
    assert job.task == path.stem
