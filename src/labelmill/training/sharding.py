"""Sharding: what FSDP takes, and what of a model it gathers and lets go of at a time.

accelerate takes the classes that a model names as not to be split. Of BERT and its like these hold
the word embeddings, which accelerate shards by themselves afterwards, and torch fails on what is
sharded twice; other models name none, and would be gathered as a whole.
"""

from collections.abc import Mapping
from typing import Any

import torch

from labelmill.errors import ConfigError

_BY_LAYERS = "TRANSFORMER_BASED_WRAP"  # the default of transformers
_WHOLE = "FULL_STATE_DICT"  # so, too


def refuse_unfit(settings: Mapping[str, Any], *, workers: int, device: str) -> None:
    """Raise ConfigError for TrainingArguments that shard nothing, or leave nothing to go on from.

    On CPUs accelerate passes it over without a word.
    """
    if device == "cpu" or workers < 2:
        raise ConfigError(
            f"training.fsdp: found {workers} workers on {device}, expected two or more, each with "
            "a GPU; remove it"
        )
    if settings.get("optim") == "sgd":
        raise ConfigError(
            "training.optim: 'sgd' found, which has no state, and with training.fsdp torch cannot "
            "go on from a checkpoint without one; choose 'adamw_torch' or another"
        )
    config = settings.get("fsdp_config")
    told = config if isinstance(config, Mapping) else {}
    for name in ("state_dict_type", "fsdp_state_dict_type"):
        if told.get(name, _WHOLE) != _WHOLE:
            raise ConfigError(
                f"training.fsdp_config.{name}: {told[name]!r} found, expected {_WHOLE!r}, as a "
                "checkpoint has to hold the whole model; remove it"
            )


def config_for(model: Any, config: Mapping[str, Any] | None) -> dict[str, Any]:
    """The `fsdp_config` of a job for this model; what the job says itself stays."""
    told = {name.removeprefix("fsdp_"): value for name, value in (config or {}).items()}
    units = layers(model)
    if told.get("auto_wrap_policy", _BY_LAYERS) != _BY_LAYERS or not units:
        return told
    return {"transformer_layer_cls_to_wrap": units, **told}


def prepare(model: Any) -> None:
    """Change what torch refuses, and what accelerate asks of a model in vain.

    Where encoder and decoder have a module of words each, with the same weights, they get one:
    weights may lie in one group alone. A model of pictures or sound may know of no such module.
    """
    words = _words(model)
    if words is None:
        model.get_input_embeddings = lambda: None
    else:
        model.set_input_embeddings(words)


def layers(model: Any) -> list[str]:
    """Names of the classes whose modules are sharded each for itself; [] where there are none."""
    words = _words(model)
    named = set(getattr(model, "_no_split_modules", None) or ())
    parts = {type(part).__name__: part for part in model.modules()}
    found = [
        name
        for name, part in parts.items()
        if name in named and not any(inner is words for inner in part.modules())
    ]
    return sorted(found) or _repeated(model)


def _words(model: Any) -> Any:
    try:
        return model.get_input_embeddings()
    except NotImplementedError:
        return None


def _repeated(model: Any) -> list[str]:
    """Of the modules in the list of modules that has most of the weights."""
    lists = [part for part in model.modules() if isinstance(part, torch.nn.ModuleList)]
    return sorted({type(part).__name__ for part in max(lists, key=_weights, default=())})


def _weights(module: torch.nn.Module) -> int:
    return sum(weights.numel() for weights in module.parameters())
