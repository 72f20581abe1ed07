"""A training job whose keys are misspelt is told what was meant."""

import json
import re
from pathlib import Path

import pytest

from labelmill.config.loading import load_as, load_job
from labelmill.config.train_job import TrainJob
from labelmill.config.training import TrainingSection
from labelmill.errors import ConfigError
from labelmill.learning import Defaults
from tests.support.options import task_options

MINIMAL = {
    "task": "text-classification",
    "model": {"path": "m"},
    "data": {"train": "rows/"},
    "output": {"path": "result"},
}


def _loaded(tmp_path, **changes):
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps(MINIMAL | changes), encoding="utf-8")
    return load_as(TrainJob, str(path), options_class=task_options().__getitem__)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"data": {"train": "rows/", "validaton": "x"}},
            "data.validaton: no such setting; did you mean 'validation'?",
        ),
        (
            {"resources": {"worker": 2}},
            "resources.worker: no such setting; did you mean 'workers'?",
        ),
        (
            {"training": {"lora": {"aplha": 2}}},
            "training.lora.aplha: no such setting; did you mean 'alpha'?",
        ),
        (
            {"training": {"lora": {"r": 0}}},
            "training.lora.r: input should be an integer of at least 1 (got 0)",
        ),
        (
            {"model": {"path": "m", "revison": "v1"}},
            "model.revison: no such setting; did you mean 'revision'?",
        ),
        ({"trainig": {}}, "trainig: no such setting; did you mean 'training'?"),
    ],
)
def test_misspelt_setting_is_named_with_what_was_meant(tmp_path, changes, said):
    with pytest.raises(ConfigError) as caught:
        _loaded(tmp_path, **changes)
    assert said in str(caught.value)


def test_job_of_the_other_command_is_told_as_one(tmp_path):
    path = tmp_path / "job.yaml"
    known = task_options().__getitem__
    path.write_text(json.dumps({**MINIMAL, "training": {}}), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"job\.yaml: this is a job of 'labelmill train'"):
        load_job(str(path), options_class=known)
    label = {name: MINIMAL[name] for name in ("task", "model", "output")} | {
        "source": {"path": "x"}
    }
    path.write_text(json.dumps(label), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"job\.yaml: this is a job of 'labelmill label'"):
        load_as(TrainJob, str(path), options_class=known)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("learning_rte", "learning_rate"),
        ("num_train_epoch", "num_train_epochs"),
        ("gradient_checkpoint", "gradient_checkpointing"),
        ("lr_schedule_type", "lr_scheduler_type"),
        ("eval_step", "eval_steps"),
    ],
)
def test_misspelt_training_argument_is_named_with_what_was_meant(name, meant):
    """Ours and those of TrainingArguments alike; none that cannot be set is proposed."""
    from labelmill.training.arguments import arguments

    section = TrainingSection.model_validate({name: 1})
    with pytest.raises(ConfigError, match=f"training.{name}: no such setting; .*'{meant}'"):
        arguments(section, measured=True, device="cpu")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("report_to", "foo", "report_to: 'foo' found, expected some of .*tensorboard.*none"),
        ("report_to", ["tensorboard", "neptune"], "report_to: 'neptune' is not installed"),
        ("eval_strategy", False, r"'epoch' \(got False\); put 'no' in quotes"),
        ("per_device_eval_batch_size", 0, "batch_size: 0 found, expected at least 1"),
        ("dataloader_num_workers", -1, "workers: -1 found, expected at least 0"),
        ("accelerator_config", "nowhere.json", "No such file or directory: 'nowhere.json'"),
        ("ddp_backend", "gloo", "ddp_backend: cannot be set; Ray starts the group"),
        ("jit_mode_eval", True, "no such setting; did you mean '(?!hub_)"),
    ],
)
def test_training_argument_that_would_fail_in_the_workers_is_refused_before(name, value, said):
    from labelmill.training.arguments import arguments

    section = TrainingSection.model_validate({name: value})
    with pytest.raises(ConfigError, match=said):
        arguments(section, measured=True, device="cpu")


@pytest.mark.parametrize("told", [None, [], "none", "tensorboard", ["tensorboard"]])
def test_report_to_is_what_the_workers_take(told):
    from labelmill.training.arguments import arguments

    section = TrainingSection.model_validate({"report_to": told}).settled(Defaults())
    chosen = arguments(section, measured=True, device="cpu")["report_to"]
    assert chosen == [told] if isinstance(told, str) else chosen == (told or [])


@pytest.mark.parametrize("page", ["README.md", "docs/training.md"])
def test_jobs_on_the_pages_for_users_load(tmp_path, page):
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    *labelling, training = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    path = tmp_path / "job.yaml"
    for block in labelling:
        path.write_text(block, encoding="utf-8")
        assert load_job(str(path), options_class=task_options().__getitem__).source.path
    path.write_text(training, encoding="utf-8")
    job = load_as(TrainJob, str(path), options_class=task_options().__getitem__)
    assert job.data.columns == {"text": "body", "label": "stars"}
