"""What help says of options can be done."""

import re

import pytest

from labelmill.cli import group
from labelmill.cli.loading import load, load_training

JOB = """
task: text-classification
model: {path: model}
output: {path: out}
"""
LOADERS = {
    "label": (load, JOB + "source: {path: in}\n"),
    "train": (load_training, JOB + "data: {train: in}\n"),
}


@pytest.mark.parametrize("command", sorted(LOADERS))
def test_the_setting_that_help_overrides_is_one_of_that_job(command, tmp_path):
    told = next(one for one in group.commands[command].params if one.name == "overrides")
    example = re.search(r"--set (\S+)=(\d+)\.", told.help)
    load_job, job = LOADERS[command]
    (tmp_path / "job.yaml").write_text(job)
    section, _, name = example[1].partition(".")
    loaded = load_job(str(tmp_path / "job.yaml"), [f"{example[1]}={example[2]}"])
    assert float(getattr(getattr(loaded, section), name)) == float(example[2])
