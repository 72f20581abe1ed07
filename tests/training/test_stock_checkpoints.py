"""Two traps of transformers' Trainer under Ray Train's own callback, and that we are in neither.

A copy of a half-written checkpoint: the stock Trainer lets the other workers go on while the first
still writes its optimizer, and RayTrainReportCallback copies what is there by then. And a training
that is over: resumed from its last checkpoint, the stock Trainer does one step more.
"""

import json
import time
from pathlib import Path

import pytest
import transformers
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

from labelmill.training.loop import train
from tests.support import gloo
from tests.support.models import save_tiny
from tests.support.training import Desk, job_of, ready, reviews, state_of, write_rows

STEPS = 2
OPTIMIZER = "optimizer.pt"
PATIENCE = 3.0  # seconds that the first worker takes to write, unless the other has its copy


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("start"), "bert", "AutoModelForSequenceClassification")


def recipe_of(folder, start, **training):
    data = {"train": write_rows(folder / "rows.parquet", reviews(32)), "validation_fraction": 0.0}
    chosen = {"per_device_train_batch_size": 4, "max_steps": STEPS, **training}
    chosen |= {"save_strategy": "steps", "save_steps": STEPS}
    return ready(job_of(folder, "text-classification", start, data, training=chosen), 2).recipe


def stock_trainer(folder, start, steps, callbacks=()):
    tokenizer = transformers.AutoTokenizer.from_pretrained(start)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(start)
    examples = [{**tokenizer(text), "labels": 0} for text in reviews(32)["text"]]
    args = TrainingArguments(
        folder / "stock", use_cpu=True, report_to="none", max_steps=steps, save_steps=steps,
        per_device_train_batch_size=4, disable_tqdm=True, ddp_find_unused_parameters=False,
    )  # fmt: skip
    return Trainer(
        model, args, data_collator=DataCollatorWithPadding(tokenizer), train_dataset=examples,
        callbacks=list(callbacks),
    )  # fmt: skip


class Race:
    """The first worker begins its optimizer's file; only then the second goes on.

    The first writes on when the second has its copy, or after PATIENCE seconds: then the second
    waits for it.
    """

    def __init__(self, folder: Path, rank: int) -> None:
        self.folder = folder
        self.rank = rank
        self._begun, self._copied = folder / "begun", folder / "copied"
        name = "_save_checkpoint" if rank else "_save_optimizer_and_scheduler"
        setattr(Trainer, name, self._late(getattr(Trainer, name)))

    def copied(self, directory: Path) -> None:
        """The worker has its copy of a checkpoint: note how large its optimizer is."""
        sizes = {path.name: path.stat().st_size for path in directory.rglob("*.pt")}
        (self.folder / f"{self.rank}.json").write_text(json.dumps(sizes))
        if self.rank:
            self._copied.touch()

    def _late(self, method):
        def save(trainer, *given):
            if self.rank:
                method(trainer, *given)
                _wait(self._begun, 60.0)
                return
            (Path(given[0]) / OPTIMIZER).touch()  # as torch.save opens it
            self._begun.touch()
            _wait(self._copied, PATIENCE)
            method(trainer, *given)

        return save


class RacingDesk(Desk):
    """Notes what every worker finds when it is to keep a checkpoint."""

    def __init__(self, directory: Path, race: Race) -> None:
        super().__init__(directory, race.rank)
        self._race = race

    def keep(self, directory: Path, score: float | None) -> None:
        self._race.copied(directory)
        super().keep(directory, score)


def _wait(path: Path, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.01)


def _stock(rank, folder, start):
    """With the callback that Ray Train's guide names; what it reports is only looked at."""
    import ray.train
    from ray.train.huggingface.transformers import RayTrainReportCallback

    race = Race(folder, rank)

    def report(metrics, checkpoint):
        del metrics
        race.copied(Path(checkpoint.path))

    ray.train.report = report
    stock_trainer(race.folder, start, STEPS, [RayTrainReportCallback()]).train()


def _ours(rank, folder, recipe):
    train(recipe, RacingDesk(folder, Race(folder, rank)))


def copies(folder):
    """Size of the optimizer in the copy that each of two workers made."""
    return [json.loads((folder / f"{rank}.json").read_text())[OPTIMIZER] for rank in (0, 1)]


@pytest.mark.slow
def test_stock_callback_hands_in_an_optimizer_of_no_bytes(tmp_path, start):
    pytest.importorskip("ray.train.huggingface.transformers")
    gloo.together(_stock, tmp_path, start, workers=2)
    whole, half = copies(tmp_path)
    assert whole > 0
    assert half == 0


@pytest.mark.slow
def test_ours_waits_until_the_checkpoint_is_whole(tmp_path, start):
    gloo.together(_ours, tmp_path, recipe_of(tmp_path, start), workers=2)
    whole, other = copies(tmp_path)
    assert other == whole > 0


def test_stock_trainer_trains_a_finished_training_one_step_more(tmp_path, start):
    """The end is in the middle of an epoch, as it is with `max_steps`."""
    stock_trainer(tmp_path, start, STEPS).train()
    last = tmp_path / "stock" / f"checkpoint-{STEPS}"
    again = stock_trainer(tmp_path, start, STEPS)
    again.train(resume_from_checkpoint=str(last))
    assert again.state.global_step == STEPS + 1


def test_ours_does_not(tmp_path, start):
    recipe = recipe_of(tmp_path, start)
    assert train(recipe, Desk(tmp_path))
    desk = Desk(tmp_path)
    assert train(recipe, desk)
    assert (state_of(desk)["global_step"], desk.scores, desk.standings) == (STEPS, [], [])
