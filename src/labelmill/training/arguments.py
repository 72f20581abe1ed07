"""Arguments: the `training` section as arguments of transformers' TrainingArguments, checked.

Whatever that class takes can be set, under its own name there. What labelmill must decide itself is
refused with the reason.
"""

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from transformers import Trainer, TrainingArguments, get_scheduler
from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    get_available_reporting_integrations,
)
from transformers.utils.import_utils import is_liger_kernel_available

from labelmill.config.nearness import nearest
from labelmill.config.training import TrainingSection
from labelmill.config.training_arguments import DEFAULTS, HUB, RESERVED
from labelmill.errors import ConfigError
from labelmill.learning import Objective
from labelmill.models.precision import best_on_cpu
from labelmill.ops.plugins import suggestion
from labelmill.training import sharding
from labelmill.training.measuring import LOSS, METRICS, PERPLEXITY, main_metric

_SAMPLING = ("group_by_length", "random", "sequential")
_LEAST = {"per_device_eval_batch_size": 1, "dataloader_num_workers": 0}
_UNSEEN = ("azure_ml", "flyte")  # of these transformers cannot say whether they are installed


def arguments(section: TrainingSection, *, measured: bool, device: str) -> dict[str, Any]:
    """Arguments for TrainingArguments, without output_dir; raises ConfigError for what is wrong.

    The section is settled. `measured`: rows are kept back. `device` is "cpu" or "cuda", of the
    workers.
    """
    others = section.others
    for name, value in others.items():
        _check(name, value)
    chosen: dict[str, Any] = {**DEFAULTS, **others}
    if not measured:
        chosen |= {"eval_strategy": "no"}
    elif section.load_best_model_at_end:
        _equal_steps(chosen)
    _refuse_unequal(section, chosen, measured=measured)
    _refuse_idle(section, chosen, measured=measured)
    _refuse_missing(chosen)
    if chosen["train_sampling_strategy"] not in _SAMPLING:
        raise ConfigError(
            f"training.train_sampling_strategy: {chosen['train_sampling_strategy']!r} found, "
            f"expected one of {', '.join(_SAMPLING)}"
        )
    chosen |= {
        "report_to": _reporters(chosen["report_to"]),
        "num_train_epochs": section.num_train_epochs,
        "learning_rate": section.learning_rate,
        "per_device_train_batch_size": section.per_device_train_batch_size,
        "gradient_accumulation_steps": section.gradient_accumulation_steps,
        "bf16": _bf16(section, others, device),
        "seed": section.seed,
        "use_cpu": device == "cpu",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "load_best_model_at_end": False,  # transformers looks for it where it may not be
    }
    _try(chosen)
    return chosen


def metric(section: TrainingSection, objective: Objective, answers: Sequence[str] = ()) -> str:
    """The metric by which a checkpoint is best; raises ConfigError for one that there is not.

    `answers` are metrics of what the model answers.
    """
    wanted = section.metric_for_best_model
    if wanted is None:
        return main_metric(objective, answers)
    name = wanted.removeprefix("eval_")
    likelihood = [PERPLEXITY] if objective == "next_token" else []
    known = [*METRICS.get(objective, ()), *answers, *likelihood, LOSS]
    if name not in known:
        raise ConfigError(
            f"training.metric_for_best_model: {wanted!r} found, expected {', '.join(known)}"
        )
    return name


def refuse_unknown_metric(section: TrainingSection, answers: Sequence[str]) -> None:
    """Raise ConfigError for a metric that no objective has; which one it is, rows may say later."""
    wanted = (section.metric_for_best_model or LOSS).removeprefix("eval_")
    known = sorted({*chain.from_iterable(METRICS.values()), *answers, PERPLEXITY, LOSS})
    if wanted not in known:
        raise ConfigError(
            f"training.metric_for_best_model: {wanted!r} found, which is no metric of a "
            f"training{suggestion(wanted, known)}"
        )


def refuse_without_gpus(section: TrainingSection, *, workers: int, device: str) -> None:
    """Raise ConfigError for fp16 on CPUs, and for FSDP that shards nothing or cannot be kept.

    On CPUs accelerate passes over both without a word.
    """
    if section.others.get("fp16") and device == "cpu":
        raise ConfigError(
            "training.fp16: the workers train on CPUs, which have bf16 and float32; remove it"
        )
    if section.others.get("fsdp"):
        sharding.refuse_unfit(section.others, workers=workers, device=device)


def has_bfloat16(device: str) -> bool:
    """Whether the device computes in it; elsewhere it is emulated, and slower than float32."""
    if device == "cuda":
        # A head node without GPUs cannot ask: every GPU since 2020 has it.
        return not torch.cuda.is_available() or torch.cuda.is_bf16_supported(
            including_emulation=False
        )
    return best_on_cpu() == "bfloat16"


def _bf16(section: TrainingSection, others: Mapping[str, Any], device: str) -> bool:
    if section.bf16 != "auto":
        return section.bf16
    return not others.get("fp16") and has_bfloat16(device)


def _check(name: str, value: Any) -> None:
    known = {field.name for field in dataclasses.fields(TrainingArguments) if field.init}
    if name in RESERVED or name.startswith(HUB):
        raise ConfigError(
            f"training.{name}: cannot be set; {RESERVED.get(name, RESERVED['push_to_hub'])}"
        )
    if name not in known:
        ours = {*known, *TrainingSection.model_fields} - RESERVED.keys()
        near = nearest(name, sorted(one for one in ours if not one.startswith(HUB)))
        advice = f"did you mean {near[0]!r}?" if near else "see transformers' TrainingArguments"
        raise ConfigError(f"training.{name}: no such setting; {advice}")
    # Its type says text, for the command line; what transformers asks for is true.
    hints: dict[str, Any] = typing.get_type_hints(TrainingArguments) | {"fsdp": bool | str | None}
    try:
        meant = TypeAdapter(hints[name]).validate_python(value)
    except ValidationError as error:
        said = error.errors()[0]["msg"].lower()
        hint = "; put 'no' in quotes" if value is False and "'no'" in said else ""
        raise ConfigError(f"training.{name}: {said} (got {value!r:.80}){hint}") from error
    except (TypeError, NameError):  # a type that pydantic does not know: TrainingArguments judges
        return
    # transformers would get the text: "false" is true.
    if isinstance(value, str) and isinstance(meant, bool | int | float):
        raise ConfigError(
            f"training.{name}: {value!r} found, expected {meant!r}; write it without quotes"
        )


def _equal_steps(chosen: dict[str, Any]) -> None:
    """Where one kind of steps is not said, it is the other: each checkpoint is to be measured.

    transformers would measure every `logging_steps` and save every 500, perhaps never.
    """
    if chosen["save_strategy"] == chosen["eval_strategy"] == "steps":
        chosen.setdefault("eval_steps", chosen.get("save_steps", chosen["logging_steps"]))
        chosen.setdefault("save_steps", chosen["eval_steps"])


def _refuse_unequal(section: TrainingSection, chosen: Mapping[str, Any], *, measured: bool) -> None:
    """The best checkpoint is found by metrics, so that each must have been measured."""
    names = ("strategy", "steps") if chosen.get("save_strategy") == "steps" else ("strategy",)
    if not (measured and section.load_best_model_at_end):
        return
    for name in names:
        saved, seen = (chosen.get(f"{kind}_{name}") for kind in ("save", "eval"))
        if saved != seen:
            raise ConfigError(
                f"training.save_{name} is {saved!r} and training.eval_{name} {seen!r}; make them "
                "equal, so that every checkpoint is measured, or load_best_model_at_end false"
            )


def _refuse_idle(section: TrainingSection, chosen: Mapping[str, Any], *, measured: bool) -> None:
    """Settings that transformers takes and then does nothing with, or fails long after."""
    for name in ("early_stopping_patience", "metric_for_best_model"):
        if getattr(section, name) is not None and chosen["eval_strategy"] == "no":
            why = (
                "nothing is measured; set training.eval_strategy to 'epoch' or 'steps'"
                if measured
                else "no rows are kept back to measure by; set data.validation or "
                "data.validation_fraction"
            )
            raise ConfigError(f"training.{name}: {why}, or remove it")
    _refuse_small(chosen)


def _refuse_small(chosen: Mapping[str, Any]) -> None:
    for name in ("max_steps", "save_total_limit", "eval_accumulation_steps"):
        if chosen.get(name) == 0:
            raise ConfigError(f"training.{name}: 0 found, expected at least 1; remove it for none")
    for name in ("eval_steps", "save_steps", "logging_steps"):
        if (steps := chosen.get(name)) is not None and steps <= 0:
            raise ConfigError(f"training.{name}: {steps} found, expected more than 0")
    for name, least in _LEAST.items():
        if chosen.get(name, least) < least:
            raise ConfigError(f"training.{name}: {chosen[name]} found, expected at least {least}")
    smoothing = chosen.get("label_smoothing_factor") or 0
    if not 0 <= smoothing < 1:
        raise ConfigError(
            f"training.label_smoothing_factor: {smoothing!r} found, expected 0 to below 1"
        )


def _refuse_missing(chosen: Mapping[str, Any]) -> None:
    """What transformers would miss on the workers alone."""
    if chosen.get("use_liger_kernel") and not is_liger_kernel_available():
        raise ConfigError(
            "training.use_liger_kernel: the package 'liger-kernel' is not installed; install it, "
            "or remove this"
        )


def _reporters(told: str | Sequence[str] | None) -> list[str]:
    """Who is told of the course; raises ConfigError for who is not known or not installed."""
    names = [told] if isinstance(told, str) else list(told or ())
    if names in (["none"], ["all"]):
        return names
    there: list[str] = get_available_reporting_integrations()  # type: ignore[no-untyped-call]
    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            known = ", ".join([*INTEGRATION_TO_CALLBACK, "all", "none"])
            raise ConfigError(f"training.report_to: {name!r} found, expected some of {known}")
        if name not in (*there, *_UNSEEN):
            raise ConfigError(
                f"training.report_to: {name!r} is not installed; install it, or remove it here"
            )
    return names


def _try(chosen: Mapping[str, Any]) -> None:
    """What TrainingArguments, optimizer and schedule say; on this machine, perhaps without GPU."""
    devices = {"use_cpu": True, "bf16": False, "fp16": False, "tf32": None, "fsdp": None}
    try:
        made = TrainingArguments(**{**chosen, **devices, "output_dir": ".", "report_to": []})
        kind, settings = Trainer.get_optimizer_cls_and_kwargs(made)
        optimizer = kind([torch.nn.Parameter(torch.zeros(1))], **settings)
        schedule: Any = made.lr_scheduler_kwargs
        get_scheduler(made.lr_scheduler_type, optimizer, 1, 10, scheduler_specific_kwargs=schedule)
    except (TypeError, ValueError, ImportError, RuntimeError, OSError) as error:
        raise ConfigError(f"training: {str(error).strip().splitlines()[0]}") from error
