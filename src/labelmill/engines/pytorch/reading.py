"""Reading: what all readouts share: the model, and the shape of their answers."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from labelmill.batch import Array, Ragged
from labelmill.engines.pytorch.narrowing import narrow

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Pieces:
    """An output of unequal length a sequence, end to end."""

    values: torch.Tensor  # [sum(lengths), ...]
    lengths: torch.Tensor  # [batch] int64


Read = Mapping[str, torch.Tensor | Pieces]
# Inputs on the device, and the length of each sequence without padding (on the CPU) -> outputs.
Reader = Callable[[Tensors, torch.Tensor], Read]


class Model:
    """A model of transformers on its device."""

    def __init__(self, module: Any, device: str) -> None:
        self.module = module
        self.device = device
        self.accepts = frozenset(inspect.signature(module.forward).parameters)
        # Decoders would keep keys and values that nobody asks for.
        self._fixed = {"use_cache": False} if "use_cache" in self.accepts else {}
        self._running = False  # the module may be shared with a model that is packed

    def __call__(self, inputs: Tensors, **more: Any) -> Any:
        """The outputs of one forward pass over those inputs that the model takes."""
        taken = {name: values for name, values in inputs.items() if name in self.accepts}
        self._running = True
        try:
            return self.module(**taken, **self._fixed, **more)
        finally:
            self._running = False

    def read_first(self) -> None:
        """Say that pooler or head will read each sequence's first token, and nothing else."""
        narrow(self.module, lambda hidden: hidden[:, :1] if self._running else hidden)

    def tokens(self, values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """[batch, length, ...] -> [sum(lengths), ...], without the padding of each sequence."""
        kept = torch.arange(values.shape[1]) < lengths[:, None]
        return values[kept.to(values.device)]

    def single(self, ids: tuple[int, ...]) -> Tensors:
        """The inputs of one text by the ids of its tokens."""
        tokens = torch.tensor([ids], device=self.device)
        return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}


def on_host(values: torch.Tensor | Pieces) -> Array | Ragged:
    """The output as numpy; every number that is no integer in float32."""
    if isinstance(values, Pieces):
        inner = on_host(values.values)
        assert not isinstance(inner, Ragged)  # noqa: S101 - for mypy
        return Ragged(values=inner, lengths=values.lengths.cpu().numpy())
    values = values.float() if values.is_floating_point() else values
    array: Array = values.cpu().numpy()
    return array
