"""What holds for every task that is found; a new file under tasks/ is tested with no edit here."""

import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from labelmill.batch import ModelFacts
from labelmill.config.loading import job_class
from labelmill.config.section import Section
from labelmill.errors import ConfigError
from labelmill.evaluation import choosing
from labelmill.ops import fields, plugins
from labelmill.tasks import Work
from tests.support import architectures

ROOT = Path(__file__).parents[2]
NAMES = plugins.modules("labelmill.tasks")
MISSION = {
    "text-classification",
    "zero-shot-classification",
    "token-classification",
    "question-answering",
    "fill-mask",
    "summarization",
    "translation",
    "text-generation",
    "feature-extraction",
    "image-classification",
    "zero-shot-image-classification",
    "audio-classification",
    "automatic-speech-recognition",
}


# A model without a head, for tasks that ask for none.
ENCODER = ModelFacts(
    model_type="bert",
    architecture="BertModel",
    labels=(),
    problem_type=None,
    max_length=64,
    pad_token_id=0,
    hidden_size=32,
)


def task_of(name: str) -> Any:
    return plugins.load_class("labelmill.tasks", name)()


def test_every_task_of_the_mission_is_there():
    assert set(NAMES) >= MISSION


@pytest.mark.parametrize("name", NAMES)
def test_task_says_what_it_is(name):
    task = task_of(name)
    assert task.name == name
    assert task.auto_class.startswith("AutoModel")
    assert task.processor.startswith("Auto")
    assert task.work in get_args(Work)
    assert fields.flat(task.fields)
    assert issubclass(task.Options, Section)
    assert isinstance(task.checked, bool)


@pytest.mark.parametrize("name", [name for name in NAMES if task_of(name).metrics])
def test_metrics_of_a_task_are_some_that_evaluate_computes(name):
    assert set(task_of(name).metrics) <= choosing.METRICS


@pytest.mark.parametrize("name", [name for name in NAMES if not task_of(name).metrics])
def test_task_without_metrics_is_one_that_evaluate_refuses(name):
    task = task_of(name)
    columns = task.schema(ENCODER, task.Options())
    with pytest.raises(ConfigError, match=r"no gold value|no standard metric"):
        choosing.scorer(columns, {"task": name}, (), None)


@pytest.mark.parametrize("name", NAMES)
def test_task_keeps_no_state(name):
    assert not vars(task_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_options_of_a_task_are_described_and_part_of_a_job(name):
    options = task_of(name).Options
    assert all(field.description for field in options.model_fields.values())
    assert job_class(options).model_fields["options"].annotation is options


@pytest.mark.parametrize("name", NAMES)
def test_task_has_contract_tests_and_a_job_file_of_its_own(name):
    assert name in {way.split()[0] for way in architectures.works()}
    assert (ROOT / "configs" / "label" / f"{name}.yaml").is_file()


def test_importing_every_task_loads_no_model_library():
    program = (
        "import sys; from labelmill.ops import plugins; "
        "[plugins.load_class('labelmill.tasks', n) for n in plugins.modules('labelmill.tasks')]; "
        "print(sorted({'torch', 'transformers', 'ray', 'PIL', 'soundfile'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"
