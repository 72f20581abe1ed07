"""What models answer or write is measured while they learn, as `labelmill evaluate` measures it."""

import math

import numpy as np
import pytest

from labelmill.errors import ConfigError
from labelmill.evaluation import choosing
from labelmill.ops import plugins
from labelmill.training.arguments import metric
from labelmill.training.judging import judge
from labelmill.training.loop import train
from tests.support.labelling import label
from tests.support.models import save_tiny
from tests.support.training import (
    Desk,
    evaluated,
    job_of,
    ready,
    state_of,
    train_together,
    weights_of,
    write_rows,
)
from tests.support.writing_models import tiny_decoder, tiny_encoder_decoder

WORDS = "the quick brown fox jumps over lazy dog".split()  # noqa: SIM905
TEXTS = [f"{one} {other}" for one in WORDS for other in WORDS]
FIRST = [text.split()[0] for text in TEXTS]
SQUAD = {
    "question": ["what?"] * len(TEXTS),
    "context": TEXTS,
    "answers": [
        {"text": [word, f"{word}!"], "answer_start": [0, 0]} for word in FIRST
    ],
}  # fmt: skip
STEPS = {
    "learning_rate": 3e-3, "max_steps": 12, "per_device_train_batch_size": 16,
    "eval_strategy": "steps", "save_strategy": "steps", "eval_steps": 6, "save_steps": 6,
}  # fmt: skip
TASKS = {
    "question-answering": ("answers", "f1", SQUAD, {"max_length": 32, "max_question_length": 8}),
    "summarization": ("summary", "rouge1", {"text": TEXTS, "summary": FIRST}, {"prefix": ""}),
    "translation": (
        "translation", "chrf", {"text": TEXTS, "translation": FIRST},
        {"source_language": "en", "target_language": "de"},
    ),
}  # fmt: skip


def start_of(place, task):
    if task == "question-answering":
        return save_tiny(place, "bert", "AutoModelForQuestionAnswering")
    place.mkdir()
    architecture = "t5" if task == "summarization" else "m2m100"
    return tiny_encoder_decoder(place, architecture)


def job_for(tmp_path, task, **training):
    """Measured by all that is learned, so that a test can measure by itself."""
    _, best, rows, options = TASKS[task]
    path = write_rows(tmp_path / "rows.parquet", rows)
    start = start_of(tmp_path / "start", task)
    if task != "question-answering":
        options = {**options, "max_new_tokens": 6}
    return job_of(
        tmp_path, task, start, {"train": path, "validation": path}, options=options,
        training={**STEPS, "metric_for_best_model": best, **training},
    )  # fmt: skip


@pytest.mark.parametrize("lora", [None, {"r": 4}], ids=["whole", "lora"])
@pytest.mark.parametrize("task", TASKS)
def test_is_what_evaluate_measures_of_the_labelled_rows(tmp_path, task, lora):
    """The result, which is the last checkpoint, labels the same rows and is scored the same."""
    from labelmill.training.model import merged

    made = ready(job_for(tmp_path, task, lora=lora))
    desk = Desk(tmp_path)
    assert train(made.recipe, desk)
    last = desk.resume()
    assert last is not None
    result = tmp_path / "result"
    if lora is None:
        import shutil

        shutil.copytree(last, result)
    else:
        merged(made.recipe.model, str(last)).save_pretrained(result)
    made.processor.save_pretrained(result)
    columns, _, rows, _ = TASKS[task]
    one = plugins.load_class("labelmill.tasks", task)()
    options = made.recipe.options
    fields = {name: rows[name] for name in one.fields}
    table = label(str(result), one, fields, options)
    import pyarrow as pa

    scorer = choosing.scorer(one.schema(made.recipe.facts, options), {"task": task}, (), None)
    scorer.add(table.select(list(scorer.columns)), pa.array(rows[columns]))
    expected = scorer.scored().counted(np.ones(len(TEXTS), np.int64))
    measured = evaluated(desk)[-1]
    assert expected
    for name, value in expected.items():
        assert measured[f"eval_{name}"] == pytest.approx(value, abs=1e-9)
    assert desk.scores[-1] == measured[f"eval_{TASKS[task][1]}"]
    judged = judge(last, made.recipe)["metrics"]
    assert judged.keys() == expected.keys()
    for name, value in expected.items():
        low, high = judged[name]["interval"]
        assert judged[name]["value"] == pytest.approx(value, abs=1e-9)
        assert low <= value <= high


def test_two_workers_label_their_shares(tmp_path):
    """With the learning rate at nothing, one and two workers measure the same model."""
    found = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        made = ready(job_for(folder, "question-answering", learning_rate=1e-12), workers)
        if workers == 1:
            desk = Desk(folder)
            train(made.recipe, desk)
        else:
            desk = train_together(made.recipe, folder, workers)
        found.append({name: evaluated(desk)[-1][f"eval_{name}"] for name in ("f1", "exact_match")})
    assert 0 < found[0]["f1"] < 1
    assert found[1] == pytest.approx(found[0])


def test_early_stopping_waits_for_the_metric(tmp_path):
    """A model that learns nothing writes no better after the first time."""
    stop = {"early_stopping_patience": 1, "learning_rate": 1e-12, "max_steps": 60}
    desk = Desk(tmp_path)
    assert train(ready(job_for(tmp_path, "summarization", **stop)).recipe, desk)
    assert state_of(desk)["global_step"] == 12


def test_settings_of_the_writing_are_not_saved_with_the_model(tmp_path):
    """The checkpoint says what it said before, whatever the job measures with."""
    import json
    from pathlib import Path

    job = job_for(tmp_path, "summarization")
    desk = Desk(tmp_path)
    train(ready(job).recipe, desk)
    read = [
        json.loads((Path(place) / "generation_config.json").read_text())
        for place in (job.model.path, desk.resume())
    ]
    assert read[1].get("max_new_tokens") == read[0].get("max_new_tokens")
    assert weights_of(desk.resume())


def test_what_is_written_is_measured_only_where_it_decides(tmp_path):
    made = ready(job_for(tmp_path, "translation", metric_for_best_model=None))
    assert made.recipe.gold is None
    assert made.recipe.metric == "loss"
    assert not (tmp_path / "model.training" / "examples" / "gold.arrow").exists()


def test_spans_are_compared_by_f1_where_the_job_names_nothing(tmp_path):
    """The best checkpoint and early stopping go by it; with FSDP nobody labels, and the loss is."""
    from labelmill.config.training import TrainingSection

    made = ready(job_for(tmp_path, "question-answering", metric_for_best_model=None))
    assert made.recipe.metric == "f1"
    desk = Desk(tmp_path)
    assert train(made.recipe, desk)
    assert desk.scores == [one["eval_f1"] for one in evaluated(desk)]
    assert state_of(desk)["best_metric"] == max(desk.scores)
    assert metric(TrainingSection(), "spans", ()) == "loss"


def test_perplexity_is_of_the_loss(tmp_path):
    (tmp_path / "start").mkdir()
    start = tiny_decoder(tmp_path / "start", "gpt2")
    path = write_rows(tmp_path / "rows.parquet", {"text": TEXTS})
    training = {**STEPS, "metric_for_best_model": "perplexity"}
    job = job_of(tmp_path, "text-generation", start, {"train": path}, training=training)
    desk = Desk(tmp_path)
    assert train(ready(job).recipe, desk)
    for one in evaluated(desk):
        assert one["eval_perplexity"] == pytest.approx(math.exp(one["eval_loss"]))
    # Lower is better.
    scores = [-one["eval_perplexity"] for one in evaluated(desk)]
    assert desk.scores == pytest.approx(scores)
    assert state_of(desk)["best_metric"] == pytest.approx(-max(scores))


def test_metric_of_another_task_is_refused_with_those_that_there_are():
    from labelmill.config.training import TrainingSection

    wish = TrainingSection(metric_for_best_model="bleu")
    with pytest.raises(ConfigError, match="expected rouge1, rougeL, loss"):
        metric(wish, "written", ("rouge1", "rougeL"))
