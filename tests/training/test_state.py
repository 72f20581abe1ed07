"""What a training keeps beside its result, and what is left of it once the result is there."""

import json
import shutil
from pathlib import Path

import pytest

from labelmill import checkpoints
from labelmill.errors import (
    ConfigError,
    FingerprintChanged,
    LabelmillError,
    LedgerError,
    UnfinishedRun,
)
from labelmill.training import finetune
from labelmill.training.loop import train
from labelmill.training.manifest import TrainManifest
from labelmill.training.plan import make_plan
from labelmill.training.preparing import Learning
from labelmill.training.ray_group import Group, Kept
from tests.support.models import save_tiny
from tests.support.training import Desk, job_of, reviews, write_rows
from tests.support.writing_models import tiny_encoder_decoder

STEPS = {"max_steps": 2, "save_strategy": "steps", "eval_strategy": "steps", "save_steps": 2}


def plan_of(job):
    return make_plan(job, lambda: Group(workers=1, gpus=0.0, cpus=1, max_failures=0))


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
    assert names(Path(plan.result)) > {"config.json", "model.safetensors", "training_results.json"}


def test_checkpoints_stay_where_the_job_says_how_many(tmp_path):
    plan = finished(tmp_path, save_total_limit=1)
    finetune.fine_tune(plan, say=print, show=print, wished=lambda: False, papers=lambda _: {})
    assert names(plan.state.checkpoints) == {"checkpoint_1"}
    assert names(plan.state.path / "examples") == {"rejects.jsonl"}


def test_result_that_was_taken_away_is_trained_once_more(tmp_path):
    plan = finished(tmp_path)
    plan.state.tidy(checkpoints=False)
    shutil.rmtree(Path(plan.result))
    again = plan_of(plan.job)
    assert again.finished is None
    ready = finetune.prepare(again, print)
    assert again.state.has_examples
    assert train(ready.recipe, Desk(tmp_path / "again"))


def a_job(tmp_path: Path, **training):
    start = str(tmp_path / "start")
    if not Path(start).exists():
        save_tiny(Path(start), "bert", "AutoModelForMaskedLM")
        write_rows(tmp_path / "rows.parquet", reviews(20))
    data = {"train": str(tmp_path / "rows.parquet")}
    return job_of(tmp_path, "text-classification", start, data, training=training)


def keep_checkpoint(state) -> None:
    """One that Ray Train knows."""
    (state.checkpoints / "checkpoint_1").mkdir(parents=True, exist_ok=True)
    listed = {"checkpoint_results": [{"checkpoint_dir_name": "checkpoint_1"}]}
    (state.checkpoints / "checkpoint_manager_snapshot.json").write_text(json.dumps(listed))


def test_job_that_its_data_refuse_binds_nobody(tmp_path):
    """`exact` is a metric, but none of one label a row; which it is, only the rows tell."""
    plan = plan_of(a_job(tmp_path, metric_for_best_model="exact"))
    with pytest.raises(ConfigError, match="'exact' found"):
        finetune.prepare(plan, print)
    mended = plan_of(a_job(tmp_path, metric_for_best_model="f1_macro"))
    assert finetune.prepare(mended, print).recipe.metric == "f1_macro"


def test_job_may_change_until_there_is_a_checkpoint(tmp_path):
    plan = plan_of(a_job(tmp_path, learning_rate=1e-3))
    finetune.prepare(plan, print)
    changed = plan_of(a_job(tmp_path, learning_rate=1e-4))
    made = finetune.prepare(changed, print).manifest
    assert made.settings["training.learning_rate"] == 1e-4
    assert TrainManifest.load(changed.state.store) == made
    keep_checkpoint(changed.state)
    with pytest.raises(FingerprintChanged, match="learning_rate"):
        plan_of(a_job(tmp_path, learning_rate=1e-3))


def test_checkpoints_that_ray_does_not_know_are_none_and_go(tmp_path):
    """Workers that outlive their driver for a moment write some."""
    state = plan_of(a_job(tmp_path)).state
    (state.checkpoints / "checkpoint_2").mkdir(parents=True)
    assert not state.has_checkpoints
    keep_checkpoint(state)
    assert state.has_checkpoints
    state.sweep()
    assert names(state.checkpoints) == {"checkpoint_1", "checkpoint_manager_snapshot.json"}


def test_what_a_killed_process_left_half_written_goes(tmp_path):
    plan = plan_of(a_job(tmp_path))
    half = plan.state.path / "examples" / ".train.arrow.1"
    half.parent.mkdir(parents=True)
    half.touch()
    finetune.prepare(plan, print)
    assert names(half.parent) == {"train.arrow", "validation.arrow", "rejects.jsonl"}


def test_the_wish_to_stop_is_heard_while_the_data_are_read(tmp_path):
    plan = plan_of(a_job(tmp_path))
    with pytest.raises(UnfinishedRun, match="while the data were read"):
        finetune.prepare(plan, print, lambda: True)
    assert TrainManifest.load(plan.state.store) is None
    assert finetune.prepare(plan, print).recipe.metric == "accuracy"


def test_manifest_that_cannot_be_read_says_what_to_do(tmp_path):
    plan = plan_of(a_job(tmp_path))
    plan.state.path.mkdir()
    (plan.state.path / "training.json").write_text('{"settings": {}, "data": {"labels": []')
    with pytest.raises(LedgerError, match=r"training\.json' cannot be read .*to train anew"):
        plan_of(a_job(tmp_path))


def test_two_commands_at_once_are_one_too_many(tmp_path):
    plan = plan_of(a_job(tmp_path))
    with plan.state.held(), pytest.raises(LedgerError, match="in use by another"):
        finetune.fine_tune(plan, say=print, show=print, wished=lambda: False, papers=lambda _: {})
    with plan.state.held():  # whoever comes later has it
        pass


def test_command_that_looked_before_another_ended_trains_nothing(tmp_path):
    early = plan_of(a_job(tmp_path))
    Path(early.result).mkdir()
    (Path(early.result) / "training_results.json").write_text("{}")
    with pytest.raises(LedgerError, match="by another command meanwhile"):
        finetune.fine_tune(early, say=print, show=print, wished=lambda: False, papers=lambda _: {})


def test_output_below_a_file_is_refused(tmp_path):
    job = a_job(tmp_path)
    place = str(tmp_path / "rows.parquet" / "below" / "model")
    job = job.model_copy(update={"output": job.output.model_copy(update={"path": place})})
    with pytest.raises(
        ConfigError, match=r"output\.path: .*is below .*rows\.parquet', which is a file"
    ):
        plan_of(job)


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
