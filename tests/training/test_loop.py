"""The loop of a worker: it learns, keeps whole checkpoints, stops and goes on."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers.trainer_pt_utils import LabelSmoother

from labelmill.config.training import LoraSection
from labelmill.errors import ConfigError, EngineError
from labelmill.training.checkpointing import PREDICTIONS
from labelmill.training.loop import train
from labelmill.training.losses import Loss
from labelmill.training.model import load
from tests.support.models import save_tiny
from tests.support.training import (
    STILL,
    Desk,
    evaluated,
    job_of,
    losses_of,
    ready,
    reviews,
    state_of,
    weights_of,
    write_rows,
)
from tests.support.writing_models import tiny_encoder_decoder

TRAINING = {"learning_rate": 3e-3, "num_train_epochs": 4, "per_device_train_batch_size": 8}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("start"), "bert", "AutoModelForMaskedLM")


@pytest.fixture
def job(start, tmp_path):
    def make(**rest):
        data = {"train": write_rows(tmp_path / "rows.parquet", reviews(64))}
        training = TRAINING | rest.pop("training", {})
        data |= rest.pop("data", {})
        return job_of(
            tmp_path, "text-classification", start, data,
            model={"config": STILL}, training=training, **rest,
        )  # fmt: skip

    return make


def test_learns_and_keeps_the_checkpoint_of_every_epoch_with_its_metric(job, tmp_path):
    desk = Desk(tmp_path)
    assert train(ready(job()).recipe, desk)
    losses = losses_of(desk)
    assert losses[-1] < losses[0] / 2
    assert len(desk.scores) == 4
    assert desk.scores[-1] == 1.0
    assert desk.standings[-1].steps == len(losses)
    seen = np.load(desk.resume() / PREDICTIONS)
    assert (seen["logits"].argmax(axis=1) == seen["labels"]).all()


def test_last_step_is_kept_where_no_other_is(job, tmp_path):
    """The result is made of a checkpoint."""
    never = {"save_strategy": "no", "max_steps": 7}
    desk = Desk(tmp_path)
    assert train(ready(job(training=never, data={"validation_fraction": 0.0})).recipe, desk)
    assert [path.name for path in desk.kept.iterdir()] == ["7"]
    assert state_of(desk)["global_step"] == 7


@pytest.mark.parametrize("kept", [{"save_strategy": "no"}, {"save_strategy": "steps"}])
def test_what_is_kept_last_is_measured_where_epochs_are(job, tmp_path, kept):
    desk = Desk(tmp_path)
    unequal = {"load_best_model_at_end": False, "num_train_epochs": 2, **kept}
    assert train(ready(job(training=unequal)).recipe, desk)
    last = desk.resume()
    assert [path.name for path in desk.kept.iterdir()] == [last.name]
    assert measured(desk)[-1] == state_of(desk)["max_steps"] == int(last.name)
    assert (last / PREDICTIONS).exists()


def test_rate_falls_where_what_is_best_when_highest_rises_no_more(job, tmp_path):
    plateau = {
        "lr_scheduler_type": "reduce_lr_on_plateau",
        "lr_scheduler_kwargs": {"patience": 0, "factor": 0.1},
        "num_train_epochs": 6,
        "learning_rate": 2e-4,
    }
    desk = Desk(tmp_path)
    assert train(ready(job(training=plateau)).recipe, desk)
    log = state_of(desk)["log_history"]
    seen = [entry["eval_accuracy"] for entry in log if "eval_accuracy" in entry]
    rates = [entry["learning_rate"] for entry in log if "learning_rate" in entry]
    best, rate = -1.0, plateau["learning_rate"]
    steps = len(rates) // len(seen)
    for epoch, accuracy in enumerate(seen[:-1]):
        rate = rate if accuracy > best else rate / 10
        best = max(best, accuracy)
        assert rates[(epoch + 1) * steps + 1] == pytest.approx(rate)
    assert max(seen) > seen[0]  # so that falling with every rise would be seen


def test_models_that_give_more_than_logits_are_measured(tmp_path):
    (tmp_path / "bart").mkdir()
    start = tiny_encoder_decoder(tmp_path / "bart", "bart")
    data = {"train": write_rows(tmp_path / "rows.parquet", reviews(32))}
    short = {"num_train_epochs": 1, "per_device_train_batch_size": 8}
    job = job_of(tmp_path, "text-classification", start, data, training=short)
    desk = Desk(tmp_path)
    assert train(ready(job).recipe, desk)
    assert 0 <= desk.scores[0] <= 1


def test_padding_id_that_a_model_lacks_is_the_tokenizers(tmp_path):
    """By it a decoder finds the last token of a row; here the end of a text is another."""
    start = save_tiny(tmp_path / "llama", "llama", "AutoModelForSequenceClassification")
    place = tmp_path / "llama" / "config.json"
    config = json.loads(place.read_text())
    place.write_text(json.dumps(config | {"pad_token_id": None, "eos_token_id": 2}))
    data = {"train": write_rows(tmp_path / "rows.parquet", reviews(32))}
    recipe = ready(job_of(tmp_path, "text-classification", start, data)).recipe
    assert load(recipe.model).config.pad_token_id == recipe.facts.pad_token_id == 1


def test_loss_of_tokens_kept_back_is_that_of_all_alike(tmp_path):
    """However many rows are measured at once; texts have 3 to 20 words."""
    start = save_tiny(tmp_path / "gpt2", "gpt2", "AutoModelForCausalLM")
    texts = {"text": reviews(40)["text"]}
    data = {"train": write_rows(tmp_path / "rows.parquet", texts), "validation_fraction": 0.5}
    found = []
    for rows in (1, 3, 64):
        step = {"max_steps": 1, "learning_rate": 1e-9, "per_device_eval_batch_size": rows}
        job = job_of(tmp_path, "text-generation", start, data, training=step)
        desk = Desk(tmp_path / str(rows))
        assert train(ready(job).recipe, desk)
        (tmp_path / "model.training" / "training.json").unlink()
        found += [one["eval_loss"] for one in evaluated(desk)]
    assert len(found) == 3
    np.testing.assert_allclose(found, found[0], rtol=1e-5)


def test_stopped_and_gone_on_with_it_is_the_same_training(job, tmp_path):
    """Dropout and order included; the break is in the middle of the second epoch."""
    recipe = ready(job(training={"num_train_epochs": 3})).recipe
    whole = Desk(tmp_path / "whole")
    assert train(recipe, whole)
    broken = Desk(tmp_path / "broken", stop_at=11)
    assert not train(recipe, broken)
    step = state_of(broken)["global_step"]
    assert step == 11
    again = Desk(tmp_path / "broken")
    assert train(recipe, again)
    np.testing.assert_allclose(losses_of(again), losses_of(whole), rtol=1e-6)
    for name, value in weights_of(whole.resume()).items():
        torch.testing.assert_close(weights_of(again.resume())[name], value, rtol=0, atol=0)


def test_finished_training_trains_no_step_more(job, tmp_path):
    recipe = ready(job()).recipe
    desk = Desk(tmp_path)
    train(recipe, desk)
    before = state_of(desk)["global_step"]
    assert train(recipe, desk)
    assert state_of(desk)["global_step"] == before
    assert len(desk.scores) == 4


def test_early_stopping_ends_it_and_it_stays_ended(job, tmp_path):
    recipe = ready(job(training={"num_train_epochs": 30, "early_stopping_patience": 2})).recipe
    desk = Desk(tmp_path)
    assert train(recipe, desk)
    state = state_of(desk)
    assert state["global_step"] < state["max_steps"]
    kept = len(desk.scores)
    assert train(recipe, desk)
    assert len(desk.scores) == kept


def test_patience_goes_on_counting_where_it_was_stopped(job, tmp_path):
    """At such a rate nothing gets better, so that every evaluation counts."""
    idle = {"num_train_epochs": 12, "early_stopping_patience": 3, "learning_rate": 1e-9}
    recipe = ready(job(training=idle)).recipe
    whole, broken = Desk(tmp_path / "whole"), tmp_path / "broken"
    assert train(recipe, whole)
    ended = state_of(whole)["global_step"]
    assert not train(recipe, Desk(broken, stop_at=ended - 3))
    assert train(recipe, Desk(broken))
    assert state_of(Desk(broken))["global_step"] == ended


def test_stopped_at_the_end_of_an_epoch_it_is_measured_and_the_same_training(job, tmp_path):
    recipe = ready(job(training={"num_train_epochs": 3})).recipe
    whole = Desk(tmp_path / "whole")
    assert train(recipe, whole)
    steps = state_of(whole)["max_steps"]
    broken = Desk(tmp_path / "broken", stop_at=steps * 2 // 3)
    assert not train(recipe, broken)
    assert state_of(broken)["global_step"] == steps * 2 // 3
    assert broken.scores == whole.scores[:2]
    again = Desk(tmp_path / "broken")
    assert train(recipe, again)
    assert again.scores == whole.scores[2:]
    assert measured(again) == measured(whole)
    for name, value in weights_of(whole.resume()).items():
        torch.testing.assert_close(weights_of(again.resume())[name], value, rtol=0, atol=0)


def measured(desk):
    """Steps at which there was an evaluation."""
    return [entry["step"] for entry in evaluated(desk)]


@pytest.mark.parametrize("often", [1, 1000], ids=["seen at a step", "seen at the evaluation"])
def test_training_out_of_all_bounds_is_an_error_and_keeps_nothing(job, tmp_path, often):
    recipe = ready(job(training={"learning_rate": 1e30, "logging_steps": often})).recipe
    desk = Desk(tmp_path)
    with pytest.raises(EngineError, match=r"no finite number any more at step \d+.*learning_rate"):
        train(recipe, desk)
    assert desk.resume() is None


def test_accumulated_batches_are_one_step(job, tmp_path):
    """Four times two rows give the losses and weights of eight at once."""
    whole, parts = Desk(tmp_path / "whole"), Desk(tmp_path / "parts")
    one = ready(job(training={"max_grad_norm": 0.0})).recipe
    train(one, whole)
    (tmp_path / "model.training" / "training.json").unlink()
    small = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    train(ready(job(training={**small, "max_grad_norm": 0.0})).recipe, parts)
    np.testing.assert_allclose(losses_of(parts), losses_of(whole), rtol=2e-3)


def test_weights_of_labels_change_the_loss(job, tmp_path):
    rows = reviews(60)
    rows["label"][:40] = ["bad"] * 40
    path = write_rows(tmp_path / "uneven.parquet", rows)
    plain = ready(job(data={"train": path})).recipe
    assert plain.weights == ()
    (tmp_path / "model.training" / "training.json").unlink()
    balanced = ready(job(data={"train": path, "class_weights": "balanced"}))
    counts = balanced.manifest.data.counts
    weights = dict(zip(balanced.recipe.facts.labels, balanced.recipe.weights, strict=True))
    assert sum(counts[name] * weights[name] for name in counts) == pytest.approx(
        sum(counts.values())
    )
    assert weights["bad"] < 1 < weights["good"]


def test_label_smoothing_is_that_of_transformers():
    logits = torch.randn(4, 7, 5, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(28).reshape(4, 7) % 5
    labels[:, 5:] = -100
    ours = Loss(objective="tags", smoothing=0.1)
    targets = {"labels": labels}
    total = ours.total({"logits": logits}, targets) / ours.count(targets)
    torch.testing.assert_close(total, LabelSmoother(epsilon=0.1)({"logits": logits}, labels))


def test_smoothed_labels_are_never_learned_to_the_end(job, tmp_path):
    """With a fifth of a label spread over both the loss is at least the entropy of 0.9 and 0.1."""
    desk = Desk(tmp_path)
    train(ready(job(training={"label_smoothing_factor": 0.2})).recipe, desk)
    losses = losses_of(desk)
    assert 0.325 < losses[-1] < losses[0]


def test_label_smoothing_is_refused_where_labels_do_not_exclude_each_other(job, tmp_path):
    rows = reviews(16)
    rows["label"] = [[label] for label in rows["label"]]
    path = write_rows(tmp_path / "sets.parquet", rows)
    smoothed = job(data={"train": path}, training={"label_smoothing_factor": 0.1})
    with pytest.raises(ConfigError, match=r"label_smoothing_factor.*'label_sets'"):
        ready(smoothed)


def test_adapters_of_layers_that_are_not_there_are_refused(job):
    recipe = ready(job()).recipe.model
    for modules, said in (
        (("nope",), "'nope'.* found, expected a list of some of .*dense, key, query, value"),
        ("query", r"'query' found, .*; of one layer write \[query\]"),
        (".*(nope", r"missing \)"),
        (("classifier",), "No modules were targeted"),  # the new head, which is learned whole
    ):
        lora = LoraSection(target_modules=modules)
        with pytest.raises(ConfigError, match=rf"training\.lora\.target_modules: .*{said}"):
            load(replace(recipe, lora=lora))


def test_adapters_are_learned_and_merged(job, start, tmp_path):
    """The merged model gives what the adapted one gave, and is a model like any other."""
    from labelmill.training.model import merged

    recipe = ready(job(training={"lora": {"r": 4}, "learning_rate": 5e-3})).recipe
    desk = Desk(tmp_path)
    train(recipe, desk)
    last = desk.resume()
    assert (last / "adapter_model.safetensors").stat().st_size < 60_000
    model = merged(recipe.model, str(last))
    model.save_pretrained(tmp_path / "merged")
    names = set(weights_of(tmp_path / "merged"))
    assert not any("lora" in name for name in names)
    fresh = type(model).from_pretrained(tmp_path / "merged")
    seen = np.load(last / PREDICTIONS)
    from pathlib import Path

    from labelmill.training.collate import Collator
    from labelmill.training.examples import StoredExamples
    from labelmill.training.order import LongestFirst

    stored = StoredExamples(Path(recipe.validation))
    collator = Collator(layout=stored.layout, pad_token_id=recipe.facts.pad_token_id)
    batch = collator([stored[place] for place in LongestFirst(stored.lengths)])
    batch.pop("labels")
    with torch.inference_mode():
        logits = fresh.eval()(**batch).logits
    np.testing.assert_allclose(logits.numpy(), seen["logits"], atol=1e-4)
