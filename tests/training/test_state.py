"""What a training keeps beside its result, and what is left of it once the result is there."""

from pathlib import Path

import pytest

from labelmill import checkpoints
from labelmill.errors import LabelmillError
from labelmill.training import finetune
from labelmill.training.loop import train
from labelmill.training.preparing import Learning
from labelmill.training.ray_group import Group, Kept
from tests.support.models import save_tiny
from tests.support.training import Desk, job_of, reviews, write_rows
from tests.support.writing_models import tiny_encoder_decoder

STEPS = {"max_steps": 2, "save_strategy": "steps", "eval_strategy": "steps", "save_steps": 2}


def plan_of(job):
    return finetune.make_plan(job, lambda: Group(workers=1, gpus=0.0, cpus=1, max_failures=0))


def finished(tmp_path: Path, **training):
    """The plan of a training that is over, with a checkpoint where Ray Train has its own."""
    start = save_tiny(tmp_path / "start", "bert", "AutoModelForMaskedLM")
    data = {"train": write_rows(tmp_path / "rows.parquet", reviews(20))}
    training = {**STEPS, "eval_steps": 2, "report_to": ["tensorboard"], **training}
    job = job_of(tmp_path, "text-classification", start, data, training=training)
    plan = plan_of(job)
    ready = finetune.prepare(plan, print)
    desk = Desk(tmp_path)
    assert train(ready.recipe, desk)
    last = desk.resume()
    assert last is not None
    finetune._exported(plan, ready, Kept(best=last, last=last), lambda _: {})
    plan.state.checkpoints.mkdir()
    last.rename(plan.state.checkpoints / "checkpoint_1")
    return plan_of(job)


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_rows_and_checkpoints_go_and_what_is_told_stays(tmp_path):
    """Also of a training whose driver died before it had tidied up: it is done when run again."""
    plan = finished(tmp_path)
    assert names(plan.state.path / "examples") > {"train.arrow", "validation.arrow"}
    said: list[str] = []
    told = finetune.fine_tune(
        plan, say=said.append, show=print, wished=lambda: False, papers=lambda _: {}
    )
    assert told == plan.finished
    assert "nothing to do" in said[0]
    assert names(plan.state.path) == {"training.json", "examples", "tensorboard"}
    assert names(plan.state.path / "examples") == {"rejects.jsonl"}
    assert names(plan.place) > {"config.json", "model.safetensors", "training_results.json"}


def test_checkpoints_stay_where_the_job_says_how_many(tmp_path):
    plan = finished(tmp_path, save_total_limit=1)
    finetune.fine_tune(plan, say=print, show=print, wished=lambda: False, papers=lambda _: {})
    assert names(plan.state.checkpoints) == {"checkpoint_1"}
    assert names(plan.state.path / "examples") == {"rejects.jsonl"}


def learning_of(plan):
    processor = checkpoints.processor(plan.checkpoint, plan.task.processor)
    return Learning(task=plan.task, options=plan.job.options, facts=plan.facts, processor=processor)


def test_texts_to_write_are_not_gathered_to_find_labels(tmp_path):
    """The data are not even read: the file is gone by then."""
    (tmp_path / "start").mkdir()
    start = tiny_encoder_decoder(tmp_path / "start", "t5")
    rows = {"text": ["a b"] * 4, "summary": ["a"] * 4}
    data = {"train": write_rows(tmp_path / "rows.parquet", rows)}
    plan = plan_of(job_of(tmp_path, "summarization", start, data))
    (tmp_path / "rows.parquet").unlink()
    assert plan.preparation.head(learning_of(plan)) is None


def test_labels_are_found_by_reading(tmp_path):
    start = save_tiny(tmp_path / "start", "bert", "AutoModelForMaskedLM")
    data = {"train": write_rows(tmp_path / "rows.parquet", reviews(20))}
    plan = plan_of(job_of(tmp_path, "text-classification", start, data))
    head = plan.preparation.head(learning_of(plan))
    assert head is not None
    assert head.labels == ("bad", "good", "middling")
    (tmp_path / "rows.parquet").unlink()
    with pytest.raises(LabelmillError):
        plan.preparation.head(learning_of(plan))
