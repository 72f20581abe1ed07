"""The page about job files says what the sections say."""

import re
from pathlib import Path

import pytest
import yaml

from labelmill.config.fingerprint import EXEMPT, TRAINING_EXEMPT
from labelmill.config.job import LabelJob
from labelmill.config.loading import load_as, load_job
from labelmill.config.reference import EXAMPLE, render
from labelmill.config.section import subsections
from labelmill.config.train_job import TrainJob
from labelmill.config.training import LoraSection
from labelmill.config.training_arguments import DEFAULTS, RESERVED
from labelmill.config.training_reference import TRAIN_EXAMPLE
from tests.support.jobs import GuessOptions
from tests.support.options import task_options

ROOT = Path(__file__).parents[2]
LABELLING, TRAINING = list(subsections(LabelJob).values()), list(subsections(TrainJob).values())


def test_page_in_the_repository_is_what_the_sections_say():
    page = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    assert page == render(task_options()), "docs/config.md is stale; run `make docs`"


def test_page_has_a_row_for_every_setting_and_every_option():
    rows = re.findall(r"^\| `(\w+)` \|.*\|$", render({"guess": GuessOptions}), re.MULTILINE)
    sections = [*LABELLING, *TRAINING, LoraSection, GuessOptions]
    assert set(rows) >= {name for section in sections for name in section.model_fields} | {"task"}


def test_every_setting_has_a_sentence():
    sections = [*LABELLING, *TRAINING, LoraSection, *task_options().values()]
    fields = [field for section in sections for field in section.model_fields.values()]
    assert [field for field in fields if not (field.description or "").endswith(".")] == []


def test_every_setting_that_is_not_compared_is_on_the_page():
    _, labelling, training = re.split(
        "^## What may|^Of a training job:", render({}), flags=re.MULTILINE
    )
    assert [name for name in EXEMPT if f"| `{name}` |" not in labelling] == []
    assert [name for name in TRAINING_EXEMPT if f"| `{name}` |" not in training] == []


def test_every_setting_that_is_not_compared_is_one():
    """Of a training job, a field of transformers' TrainingArguments included."""
    transformers = pytest.importorskip("transformers")
    settings = {
        f"{name}.{field}" for name, kind in subsections(TrainJob).items()
        for field in kind.model_fields
    }  # fmt: skip
    others = {f"training.{name}" for name in transformers.TrainingArguments.__dataclass_fields__}
    assert set(TRAINING_EXEMPT) <= settings | others | {"resources"}


def test_what_is_said_of_training_arguments_names_some_of_them():
    transformers = pytest.importorskip("transformers")
    known = set(transformers.TrainingArguments.__dataclass_fields__)
    assert RESERVED.keys() | DEFAULTS.keys() <= known | {"include_for_metrics"}
    assert not RESERVED.keys() & DEFAULTS.keys()


def test_every_row_of_a_table_has_as_many_cells_as_its_head():
    tables = re.findall(r"(?:^\|.*\|$\n)+", render({"guess": GuessOptions}), re.MULTILINE)
    for table in tables:
        counts = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(counts) == 1, table


def test_examples_on_the_page_load(tmp_path):
    options = task_options()
    blocks = re.findall(r"```yaml\n(.*?)```", render(options), re.DOTALL)
    for index, block in enumerate(blocks):
        path = tmp_path / f"{index}.yaml"
        path.write_text(block, encoding="utf-8")
        if "data" in yaml.safe_load(block):
            load_as(TrainJob, str(path), options_class=options.__getitem__)
        else:
            load_job(str(path), options_class=options.__getitem__)
    assert len(blocks) == 4


@pytest.mark.parametrize(("text", "job"), [(EXAMPLE, LabelJob), (TRAIN_EXAMPLE, TrainJob)])
def test_example_has_every_setting(text, job):
    example = yaml.safe_load(text)
    example.get("training", {}).pop("lr_scheduler_type", None)
    written = {name: set(example[name]) for name in subsections(job) if name != "options"}
    known = {name: set(kind.model_fields) for name, kind in subsections(job).items()}
    known.pop("options")
    assert written == known
