"""Dense: a layer that sentence-transformers puts behind the pooling, from its folder's files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from labelmill.checkpoints import Checkpoint
from labelmill.errors import ModelError

_SAFE, _PICKLED = "model.safetensors", "pytorch_model.bin"


def dense_layer(
    checkpoint: Checkpoint, folder: str, device: str
) -> Callable[[torch.Tensor], torch.Tensor]:
    """[batch, in] -> [batch, out] in float32; raises ModelError where the files do not do."""
    place = Path(checkpoint.path) / folder
    try:
        settings = json.loads((place / "config.json").read_text("utf-8"))
        layer = torch.nn.Linear(
            settings["in_features"], settings["out_features"], bias=settings.get("bias", True)
        )
        weights = _weights(place, allow_pickle=checkpoint.allow_pickle)
        layer.load_state_dict({name.removeprefix("linear."): weights[name] for name in weights})
        activation = _activation(settings.get("activation_function", "torch.nn.Tanh"))
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"model {checkpoint.source!r}: its dense layer in {str(place)!r} cannot be loaded: "
            f"{error}"
        ) from error
    return torch.nn.Sequential(layer, activation).float().to(device)


def _weights(place: Path, *, allow_pickle: bool) -> dict[str, torch.Tensor]:
    if (place / _SAFE).is_file():
        return load_file(place / _SAFE)
    if not allow_pickle:
        raise ValueError(
            f"there is no {_SAFE!r}; convert its weights, or set model.allow_pickle to true to "
            f"read {_PICKLED!r}"
        )
    weights: dict[str, torch.Tensor] = torch.load(
        place / _PICKLED, map_location="cpu", weights_only=True
    )
    return weights


def _activation(name: str) -> torch.nn.Module:
    """By the name of its class: one of torch's own, made without arguments."""
    kind: Any = getattr(torch.nn, name.rpartition(".")[2], None)
    known = isinstance(kind, type) and issubclass(kind, torch.nn.Module)
    if not (known and name.startswith("torch.nn.")):
        raise ValueError(f"its activation is {name!r}, expected a class of torch.nn")
    made: torch.nn.Module = kind()
    return made
