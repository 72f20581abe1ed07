"""How each task is trained where the job does not say: as docs/training.md has it."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from labelmill.config.training import TrainingSection
from labelmill.learning import Defaults
from labelmill.ops import plugins
from labelmill.tasks import is_trainable, training_defaults

ROOT = Path(__file__).parents[2]
HEADING = "| task | `num_train_epochs` | `learning_rate` | `per_device_train_batch_size` |"


def documented() -> dict[tuple[str, str], Defaults]:
    """By task and model type."""
    table = (ROOT / "docs/training.md").read_text("utf-8").partition(HEADING)[2].strip()
    found = {}
    for line in table.partition("\n\n")[0].splitlines()[1:]:
        names, epochs, rates, batch = (cell.strip() for cell in line.strip("|").split("|"))
        usual, _, special = rates.partition("; T5 and its like ")
        for name in names.split(", "):
            for model_type, rate in (("bert", usual), ("mt5", special or usual)):
                found[name, model_type] = Defaults(
                    epochs=float(epochs), rate=float(rate), batch=int(batch)
                )
    return found


def test_defaults_of_every_task_that_is_trained_are_documented() -> None:
    files = (ROOT / "src/labelmill/tasks").glob("[a-z]*.py")
    names = [file.stem.replace("_", "-") for file in files]
    tasks = {name: plugins.load_class("labelmill.tasks", name)() for name in names}
    made = {
        (name, model_type): training_defaults(task, SimpleNamespace(model_type=model_type))
        for name, task in tasks.items()
        if is_trainable(task)
        for model_type in ("bert", "mt5")
    }
    assert made == documented()


@pytest.mark.parametrize(
    ("said", "settled"),
    [
        ({}, (5.0, 3e-5, 32)),
        ({"lora": {}}, (5.0, 2e-4, 32)),
        ({"learning_rate": None, "num_train_epochs": 1}, (1.0, 3e-5, 32)),
        ({"learning_rate": 1e-3, "lora": {}, "per_device_train_batch_size": 2}, (5.0, 1e-3, 2)),
    ],
)
def test_what_a_job_says_goes_before_the_defaults_of_its_task(said, settled) -> None:
    section = TrainingSection.model_validate(said).settled(Defaults(epochs=5, rate=3e-5, batch=32))
    found = (section.num_train_epochs, section.learning_rate, section.per_device_train_batch_size)
    assert found == settled
