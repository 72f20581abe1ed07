"""Packed: the way of a packed microbatch through a model, from the host to the readout.

It lays the microbatch out, runs the readout's reader over it, and cuts the filler off its outputs.
"""

from collections.abc import Callable

import numpy as np
import torch

from labelmill.batch import Array, Microbatch
from labelmill.engines.pytorch.packing import (
    PackedModel,
    Packing,
    lay_out,
    padding_of,
    tensors,
)
from labelmill.engines.pytorch.reading import Pieces, Read, Reader

_LONG = 64  # tokens

ToDevice = Callable[[Array], torch.Tensor]


class PackedReader:
    """A reader of packed microbatches."""

    def __init__(self, reader: Reader, model: PackedModel, packing: Packing) -> None:
        self._reader = reader
        self._packing = packing
        self._padding = padding_of(model.module)
        self._accepts = model.accepts

    def __call__(self, batch: Microbatch, to_device: ToDevice) -> Read:
        """The readout of the microbatch's sequences, in its order."""
        layout = lay_out(batch, self._packing, padding=self._padding, names=self._accepts)
        inputs = tensors(layout, to_device(layout.numbers))
        read = self._reader(inputs, torch.from_numpy(layout.lengths))
        lengths = torch.from_numpy(batch.lengths)
        return {name: _cut(values, lengths) for name, values in read.items()}


def trial() -> tuple[Microbatch, Microbatch]:
    """Two sequences, padded and packed."""
    lengths = np.array([7, 4], np.int64)
    ids = np.arange(14, dtype=np.int64).reshape(2, 7) * 3 % 11 + 5
    mask = (np.arange(7) < lengths[:, None]).astype(np.int64)
    types = np.zeros_like(ids)
    flat = mask.astype(bool)
    padded = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    packed = {"input_ids": ids[flat], "token_type_ids": types[flat]}
    places = np.arange(2)
    return (
        Microbatch(sequences=places, lengths=lengths, inputs=padded),
        Microbatch(sequences=places, lengths=lengths, inputs=packed, packed=True),
    )


def filled(tokens: int) -> Microbatch:
    """Packed sequences of so many tokens."""
    lengths = np.full(max(1, tokens // _LONG), _LONG, np.int64)
    ids = np.arange(lengths.sum()) % _LONG % 11 + 5
    inputs = {"input_ids": ids, "token_type_ids": np.zeros_like(ids)}
    places = np.arange(len(lengths))
    return Microbatch(sequences=places, lengths=lengths, inputs=inputs, packed=True)


def _cut(values: torch.Tensor | Pieces, lengths: torch.Tensor) -> torch.Tensor | Pieces:
    if isinstance(values, Pieces):
        return Pieces(values.values[: int(lengths.sum())], lengths)
    return values[: len(lengths)]
