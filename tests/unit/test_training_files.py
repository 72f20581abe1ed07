"""The job files of `labelmill train` that come with labelmill."""

from pathlib import Path

import pytest
import yaml

from labelmill.cli.loading import load_training
from labelmill.config.section import subsections
from labelmill.config.train_job import TrainJob
from labelmill.ops import plugins

FOLDER = Path(__file__).parents[2] / "configs" / "train"
FILES = sorted(FOLDER.glob("*.yaml"))
WHOLE = [FOLDER / f"{kind}-classification.yaml" for kind in ("audio", "image")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_job_file_of_the_repository_loads(path: Path) -> None:
    assert load_training(str(path), ()).task == path.stem


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_job_file_has_every_setting(path: Path) -> None:
    written = yaml.safe_load(path.read_text("utf-8"))
    for name, kind in subsections(TrainJob).items():
        if name != "options":  # some of them say how to label, not what to learn
            assert set(written[name]) >= set(kind.model_fields), name


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_job_file_keeps_to_the_defaults(path: Path) -> None:
    job = _settled(load_training(str(path), ()))
    plain = TrainJob.model_validate(
        {
            "task": job.task,
            "model": {"path": job.model.path},
            "data": {"train": job.data.train, "columns": job.data.columns},
            "training": job.training.others,
            "output": {"path": job.output.path},
            "options": job.options,
        }
    )
    assert job == _settled(plain)


def _settled(job: TrainJob) -> TrainJob:
    task = plugins.load_class("labelmill.tasks", job.task)()
    training = job.training.settled(task.defaults(None))  # whatever the model is
    return job.model_copy(update={"training": training})
