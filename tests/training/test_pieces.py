"""Order, losses, files of examples, batches and arguments, each by itself."""

import json
import re
from dataclasses import MISSING, fields

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from ray.exceptions import RayError
from ray.train import ControllerError, TrainingFailedError
from torch.nn import functional
from transformers import TrainingArguments

from labelmill.batch import Encoded, Ragged
from labelmill.config.training import TrainingSection
from labelmill.config.training_arguments import HUB, RESERVED
from labelmill.errors import ConfigError, EngineError
from labelmill.learning import IGNORED, Defaults, Examples
from labelmill.training import examples, ray_group
from labelmill.training.arguments import (
    arguments,
    metric,
    refuse_unknown_metric,
    refuse_without_gpus,
)
from labelmill.training.collate import Collator
from labelmill.training.examples import StoredExamples
from labelmill.training.losses import Loss
from labelmill.training.order import LongestFirst, Order


def test_order_has_every_example_once_but_those_that_fill_the_last_step():
    order = Order(10, 4, seed=1, lengths=None)
    seen = list(order)
    assert len(seen) == len(order) == 12
    assert sorted(set(seen)) == list(range(10))


def test_order_is_of_seed_and_epoch_alone():
    order, same = Order(50, 8, 3, np.arange(50)), Order(50, 8, 3, np.arange(50))
    first = list(order)
    assert first == list(same)
    order.set_epoch(1)
    assert list(order) != first
    order.set_epoch(0)
    assert list(order) == first


def test_examples_of_like_length_share_a_step():
    lengths = np.random.default_rng(0).integers(1, 100, 4000)
    drawn = np.fromiter(Order(4000, 16, 0, lengths), np.int64).reshape(-1, 16)
    spread = np.ptp(lengths[drawn], axis=1).mean()
    assert spread < 5
    assert np.ptp(lengths[np.arange(4000).reshape(-1, 16)], axis=1).mean() > 70


def test_the_longest_comes_first_where_order_says_nothing():
    assert list(LongestFirst(np.array([1, 3, 2]))) == [1, 2, 0]


def test_losses_are_those_of_torch_as_sum_and_count():
    torch.manual_seed(0)
    logits, labels = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    loss = Loss(objective="classes")
    targets = {"labels": labels}
    mean = loss.total({"logits": logits}, targets) / loss.count(targets)
    torch.testing.assert_close(mean, functional.cross_entropy(logits, labels))
    sets = (torch.rand(4, 3) > 0.5).float()
    loss, targets = Loss(objective="label_sets"), {"labels": sets}
    mean = loss.total({"logits": logits}, targets) / loss.count(targets)
    torch.testing.assert_close(mean, functional.binary_cross_entropy_with_logits(logits, sets))
    loss = Loss(objective="numbers")
    mean = loss.total({"logits": logits}, targets) / loss.count(targets)
    torch.testing.assert_close(mean, functional.mse_loss(logits, sets))


def test_padding_is_no_part_of_the_loss_of_tokens():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 5)
    labels = torch.tensor([[1, 2, IGNORED], [4, IGNORED, IGNORED]])
    loss = Loss(objective="tags")
    assert int(loss.count({"labels": labels})) == 3
    expected = functional.cross_entropy(logits[labels >= 0], labels[labels >= 0], reduction="sum")
    torch.testing.assert_close(loss.total({"logits": logits}, {"labels": labels}), expected)


def test_the_next_token_is_what_a_causal_model_of_transformers_learns():
    from transformers.loss.loss_utils import ForCausalLMLoss

    torch.manual_seed(0)
    logits, labels = torch.randn(2, 4, 7), torch.tensor([[1, 2, 3, IGNORED], [IGNORED, 5, 6, 0]])
    loss, targets = Loss(objective="next_token"), {"labels": labels}
    mean = loss.total({"logits": logits}, targets) / loss.count(targets)
    torch.testing.assert_close(mean, ForCausalLMLoss(logits, labels, vocab_size=7))


def _learned() -> Examples:
    encoded = Encoded(
        rows=np.array([0, 1, 2], np.int32),
        lengths=np.array([2, 1, 3], np.int32),
        inputs={"input_ids": np.array([5, 6, 7, 8, 9, 4], np.int32)},
        fixed={"picture": np.arange(12, dtype=np.float32).reshape(3, 2, 2)},
        errors={1: "bad"},
    )
    labels = Ragged(values=np.array([1, 2, 3, 4], np.int64), lengths=np.array([1, 1, 2]))
    return Examples(encoded=encoded, targets={"labels": labels, "number": np.array([7, 8, 9])})


def test_examples_come_back_from_their_file_without_bad_rows(tmp_path):
    path = tmp_path / "deep" / "examples.arrow"
    tables = [examples.table(_learned()), examples.table(_learned())]
    assert examples.write(path, tables) == 4
    stored = StoredExamples(path)
    assert len(stored) == 4
    assert stored.lengths.tolist() == [2, 3, 2, 3]
    batch = Collator(layout=stored.layout, pad_token_id=99)([stored[3], stored[0]])
    assert batch["input_ids"].tolist() == [[8, 9, 4], [5, 6, 99]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["labels"].tolist() == [[3, 4], [1, IGNORED]]
    assert batch["number"].tolist() == [9, 7]
    assert batch["picture"].tolist() == [[[8, 9], [10, 11]], [[0, 1], [2, 3]]]
    assert batch["picture"].dtype == torch.float32


def test_without_examples_there_is_no_file(tmp_path):
    assert examples.write(tmp_path / "none.arrow", []) == 0
    assert not list(tmp_path.iterdir())


def section(**settings) -> TrainingSection:
    return TrainingSection.model_validate(json.loads(json.dumps(settings))).settled(Defaults())


def test_whatever_training_arguments_take_can_be_set():
    """With the value that transformers has where nothing is said, which is seldom ours."""
    tied = {"eval_strategy": {"save_strategy": "no"}, "save_strategy": {"eval_strategy": "steps"}}
    for one in fields(TrainingArguments):
        if one.name in RESERVED or one.name.startswith(HUB):
            continue
        value = one.default if one.default_factory is MISSING else one.default_factory()
        told = section(**{one.name: value}, **tied.get(one.name, {}))
        chosen = arguments(told, measured=True, device="cpu")
        wanted = {"report_to": ["none"]}.get(one.name, value)
        assert chosen.get(one.name) == wanted, one.name


def test_workers_without_gpus_train_on_the_cpu():
    assert arguments(section(), measured=True, device="cpu")["use_cpu"]


@pytest.mark.parametrize(
    ("said", "steps"),
    [({}, 10), ({"logging_steps": 7}, 7), ({"eval_steps": 30}, 30), ({"save_steps": 40}, 40)],
)
def test_each_checkpoint_is_measured_where_one_kind_of_steps_is_said(said, steps):
    often = section(eval_strategy="steps", save_strategy="steps", **said)
    chosen = arguments(often, measured=True, device="cpu")
    assert (chosen["eval_steps"], chosen["save_steps"]) == (steps, steps)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"wieght_decay": 0.1}, "no such setting; did you mean 'weight_decay'?"),
        ({"output_dir": "x"}, "cannot be set; set output.path"),
        ({"weight_decay": "much"}, "training.weight_decay: "),
        ({"weight_decay": "0.01"}, "training.weight_decay: .*write it without quotes"),
        ({"torch_compile": "false"}, "training.torch_compile: .*write it without quotes"),
        ({"max_steps": 3.5}, "training.max_steps: "),
        (
            {"eval_strategy": "steps", "save_strategy": "steps", "eval_steps": 0},
            "0 found, expected more than 0",
        ),
        ({"lr_scheduler_type": "cosinus"}, "training"),
        ({"save_strategy": "steps"}, "make them equal"),
        ({"train_sampling_strategy": "batch_rebalance"}, "expected one of group_by_length"),
        ({"prediction_loss_only": True}, "prediction_loss_only: cannot be set"),
        ({"eval_do_concat_batches": False}, "eval_do_concat_batches: cannot be set"),
        ({"log_level": "chatty"}, "log_level: cannot be set; .*--verbose"),
        ({"label_smoothing_factor": 1.5}, "1.5 found, expected 0 to below 1"),
        ({"max_steps": 0}, "0 found, expected at least 1"),
        ({"use_liger_kernel": True}, "'liger-kernel' is not installed"),
        ({"save_total_limit": 0}, "save_total_limit: 0 found, expected at least 1"),
        ({"lr_scheduler_type": "cosine_with_min_lr"}, "training: .*min_lr"),
        ({"adam_beta1": 3.0}, "training: Invalid beta"),
        (
            {"early_stopping_patience": 2, "eval_strategy": "no", "save_strategy": "no"},
            "set training.eval_strategy to 'epoch' or 'steps'",
        ),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(settings, said):
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
        arguments(section(**settings), measured=True, device="cpu")


@pytest.mark.parametrize(
    "name", [{"early_stopping_patience": 2}, {"metric_for_best_model": "accuracy"}]
)
def test_what_needs_rows_to_measure_by_is_refused_without(name):
    with pytest.raises(ConfigError, match=rf"{next(iter(name))}: no rows are kept back"):
        arguments(section(**name), measured=False, device="cpu")


def test_a_seed_is_one_that_numpy_takes():
    assert section(seed=2**32 - 1).seed == np.random.RandomState(2**32 - 1).get_state()[1][0]
    with pytest.raises(ValidationError, match="less than 4294967296"):
        section(seed=2**32)


def test_a_metric_that_there_is_not_is_refused():
    assert metric(section(), "classes") == "accuracy"
    assert metric(section(metric_for_best_model="f1_macro"), "classes") == "f1_macro"
    with pytest.raises(ConfigError, match="expected accuracy, f1_macro, loss"):
        metric(section(metric_for_best_model="bleu"), "classes")


def test_a_metric_that_no_objective_has_is_refused_before_the_data_are_read():
    refuse_unknown_metric(section(metric_for_best_model="eval_exact"), ())
    refuse_unknown_metric(section(metric_for_best_model="bleu"), ("bleu", "chrf"))
    with pytest.raises(ConfigError, match=r"'f1macro' found.*'f1_macro'"):
        refuse_unknown_metric(section(metric_for_best_model="f1macro"), ())


@pytest.mark.parametrize(
    ("more", "workers", "device", "said"),
    [
        ({"fp16": True}, 1, "cpu", "training.fp16: the workers train on CPUs"),
        ({"fsdp": True}, 2, "cpu", "training.fsdp: found 2 workers on cpu, expected two or more"),
        ({"fsdp": True}, 1, "cuda", "training.fsdp: found 1 workers on cuda"),
        ({"fsdp": True, "optim": "sgd"}, 2, "cuda", "training.optim: 'sgd' found, which has no"),
        (
            {"fsdp": True, "fsdp_config": {"state_dict_type": "SHARDED_STATE_DICT"}},
            2, "cuda", "training.fsdp_config.state_dict_type: 'SHARDED_STATE_DICT' found",
        ),
    ],
)  # fmt: skip
def test_what_workers_cannot_do_or_would_pass_over_is_refused(more, workers, device, said):
    with pytest.raises(ConfigError) as caught:
        refuse_without_gpus(section(**more), workers=workers, device=device)
    assert said in str(caught.value)


@pytest.mark.parametrize("more", [{}, {"fsdp": False}], ids=["none", "off"])
def test_without_fsdp_any_workers_will_do(more):
    refuse_without_gpus(section(**more), workers=1, device="cpu")


def test_fsdp_on_two_gpus_is_taken():
    config = {"transformer_layer_cls_to_wrap": ["BertLayer"], "state_dict_type": "FULL_STATE_DICT"}
    wish = section(fsdp=True, fsdp_config=config)
    refuse_without_gpus(wish, workers=2, device="cuda")
    assert arguments(wish, measured=True, device="cuda")["fsdp_config"] == config


@pytest.mark.parametrize(
    ("failures", "said"),
    [
        (
            {0: RuntimeError("no gradient\nof a weight")},
            r"worker 0: RuntimeError: no gradient of a weight; if it has lost another, .* memory",
        ),
        (
            {0: RuntimeError("lost"), 1: RayError("it\nwas killed\n")},
            "worker 1 died: was killed; most often memory runs out: lower .*batch_size",
        ),
    ],
)
def test_of_workers_that_failed_the_one_that_died_is_told_first(failures, said):
    failed = TrainingFailedError("as Ray has it")
    failed.worker_failures = failures
    assert re.search(said, str(ray_group._unwrapped(failed)))


def test_what_ends_ray_itself_is_told_in_one_line():
    """As where Ray kills its own actors, since something else has taken the memory."""
    failed = ControllerError(RayError("4 worker(s) were killed\n  for memory" + "." * 999))
    found = ray_group._unwrapped(failed)
    assert isinstance(found, EngineError)
    said = r"Ray ended the training: 4 worker\(s\) were killed for memory\.{200,280}; running .*"
    assert re.fullmatch(said, str(found))
