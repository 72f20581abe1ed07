"""Model: the checkpoint that training starts from, with a new head where the labels are new."""

import re
from collections.abc import Mapping
from typing import Any

import peft
import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from labelmill.checkpoints import Checkpoint, localize
from labelmill.checkpoints.heads import HEADLESS
from labelmill.config.nearness import nearest
from labelmill.config.training import LoraSection
from labelmill.errors import ConfigError, ModelError
from labelmill.models.loading import complete_padding
from labelmill.training.recipe import ModelRecipe

_POOLER = "pooler."  # of BERT and its like: new wherever the checkpoint was a language model


def load(recipe: ModelRecipe) -> PreTrainedModel:
    """The model in float32, its new weights drawn by the seed; with adapters if it is to have any.

    Raises ModelError where the checkpoint lacks more than a head, ConfigError for adapters of
    layers that are not there.
    """
    model = whole(recipe)
    if recipe.lora is None:
        return model
    try:
        adapted: Any = peft.get_peft_model(model, _adapters(recipe.lora, model, recipe.labels))
    except (ValueError, re.error) as error:
        raise ConfigError(_no_layers(recipe.lora, model, error)) from error
    return adapted  # type: ignore[no-any-return]  # it answers as the model does


def merged(recipe: ModelRecipe, directory: str) -> PreTrainedModel:
    """The model with the adapters that were trained, as one."""
    adapted = peft.PeftModel.from_pretrained(whole(recipe), directory)
    model: PreTrainedModel = adapted.merge_and_unload()
    return model


def whole(recipe: ModelRecipe) -> PreTrainedModel:
    """The model without adapters; raises what `load` raises."""
    checkpoint = localize(recipe.checkpoint)
    how = {"trust_remote_code": checkpoint.trust_remote_code, "local_files_only": True}
    config = _config(recipe, AutoConfig.from_pretrained(checkpoint.path, **how))
    torch.manual_seed(recipe.seed)
    try:
        model, report = getattr(transformers, recipe.auto_class).from_pretrained(
            checkpoint.path,
            config=config,
            dtype=torch.float32,
            use_safetensors=not checkpoint.allow_pickle or None,
            ignore_mismatched_sizes=bool(recipe.labels),
            output_loading_info=True,
            **how,
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelError(
            f"model {checkpoint.source!r} cannot be loaded as {recipe.auto_class}: {error}"
        ) from error
    _refuse_holes(model, report, recipe)
    return _complete(model, checkpoint)


_OF_LABELS = frozenset({"num_labels", "id2label", "label2id", "problem_type"})


def _config(recipe: ModelRecipe, config: PreTrainedConfig) -> PreTrainedConfig:
    for name, value in recipe.config.items():
        if recipe.labels and name in _OF_LABELS:
            raise ConfigError(
                f"model.config.{name}: cannot be set; labels are found in the data, see "
                "data.columns"
            )
        if not hasattr(config, name):
            near = nearest(name, config.to_dict())
            raise ConfigError(
                f"model.config.{name}: the config.json of this model has no such setting"
                + (f"; did you mean {near[0]!r}?" if near else "")
            )
        setattr(config, name, value)
    if recipe.labels:
        config.id2label = dict(enumerate(recipe.labels))
        config.label2id = {name: number for number, name in enumerate(recipe.labels)}
        setattr(config, "problem_type", recipe.problem_type)  # noqa: B010 - its type is narrower
    return config


def _refuse_holes(model: PreTrainedModel, report: Mapping[str, Any], recipe: ModelRecipe) -> None:
    """A head may be new; anything else that is missing would be random."""
    missing = {*report["missing_keys"], *(key[0] for key in report["mismatched_keys"])}
    if recipe.auto_class in HEADLESS:
        missing = {key for key in missing if not key.startswith(_POOLER)}
    if recipe.labels:
        body = f"{model.base_model_prefix}."
        missing = {key for key in missing if key.startswith(body) and _POOLER not in key}
    if missing:
        raise ModelError(
            f"model {recipe.checkpoint.source!r} has no weights for {min(missing)!r} "
            f"({len(missing)} in all), which {recipe.auto_class} needs; choose another model"
        )


def _complete(model: PreTrainedModel, checkpoint: Checkpoint) -> PreTrainedModel:
    """As for labelling; where nobody has a padding id, it is that of the end of a text."""
    complete_padding(model, checkpoint)
    config = model.config.get_text_config()
    if getattr(config, "pad_token_id", 0) is None:
        eos = config.eos_token_id
        config.pad_token_id = eos[0] if isinstance(eos, list) else eos
    return model


def _adapters(
    lora: LoraSection, model: PreTrainedModel, labels: tuple[str, ...]
) -> peft.LoraConfig:
    heads = [
        name for name, child in model.named_children()
        if labels and name != model.base_model_prefix and any(True for _ in child.parameters())
    ]  # fmt: skip
    wanted = lora.target_modules or _linear(model, heads)
    return peft.LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # numbers with a point are as good
        lora_dropout=lora.dropout,
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
        target_modules=list(wanted)
        if isinstance(wanted, tuple)
        else wanted or _linear(model, heads),
        modules_to_save=heads if labels else None,
    )


def _no_layers(lora: LoraSection, model: PreTrainedModel, error: Exception) -> str:
    said = str(error).partition(". ")[0]
    names = _linear(model, [])
    hint = f"; of one layer write [{lora.target_modules}]" if lora.target_modules in names else ""
    return (
        f"training.lora.target_modules: {lora.target_modules!r} found, expected a list of some of "
        f"{', '.join(names)}, or a regular expression that fits whole names{hint}; {said}"
    )


def _linear(model: PreTrainedModel, heads: list[str]) -> list[str]:
    """The last names of all linear layers outside of the heads."""
    output = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    found = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D)  # the latter in GPT-2
        and module is not output
        and name.partition(".")[0] not in heads
    }
    return sorted(found)
