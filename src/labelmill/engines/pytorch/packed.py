"""Packed: the way of a packed microbatch through a model, from the host to the readout.

It lays the microbatch out, runs the readout's reader over it, and cuts the filler off its outputs.
With `Packing.graphs` each shape is recorded as a CUDA graph when it first comes, and replayed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from labelmill.batch import Array, Microbatch
from labelmill.engines.pytorch.packing import (
    Layout,
    PackedModel,
    Packing,
    lay_out,
    padding_of,
    tensors,
)
from labelmill.engines.pytorch.reading import Pieces, Read, Reader, Tensors

_MOST_GRAPHS = 64  # shapes; each graph holds its inputs and outputs
_LONG = 64  # tokens
_WARM_UPS = 2  # runs before a graph is recorded, in which libraries set themselves up

ToDevice = Callable[[Array], torch.Tensor]


class PackedReader:
    """A reader of packed microbatches."""

    def __init__(self, reader: Reader, model: PackedModel, packing: Packing) -> None:
        self._reader = reader
        self._packing = packing
        self._padding = padding_of(model.module)
        self._accepts = model.accepts
        self._graphs: dict[tuple[Any, ...], _Graph] = {}

    def __call__(self, batch: Microbatch, to_device: ToDevice) -> Read:
        """The readout of the microbatch's sequences, in its order."""
        layout = lay_out(batch, self._packing, padding=self._padding, names=self._accepts)
        numbers = to_device(layout.numbers)
        run = self._recorded if self._packing.graphs else self._run
        read = run(layout, numbers)
        lengths = torch.from_numpy(batch.lengths)
        return {name: _cut(values, lengths) for name, values in read.items()}

    def _run(self, layout: Layout, numbers: torch.Tensor) -> Read:
        return self._reader(tensors(layout, numbers), torch.from_numpy(layout.lengths))

    def _recorded(self, layout: Layout, numbers: torch.Tensor) -> Read:
        key = (layout.names, layout.tokens, len(layout.lengths), layout.longest)
        if key not in self._graphs:
            if len(self._graphs) >= _MOST_GRAPHS:
                self._graphs.clear()
            self._graphs[key] = _Graph(self._reader, layout, numbers)
        return self._graphs[key].replay(numbers)


class _Graph:
    """One shape's launches, recorded; inputs and outputs stay where they are."""

    def __init__(self, reader: Reader, layout: Layout, numbers: torch.Tensor) -> None:
        self._numbers = numbers.clone()
        lengths = torch.from_numpy(layout.lengths)
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                reader(self._inputs(layout), lengths)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._read = reader(self._inputs(layout), lengths)

    def _inputs(self, layout: Layout) -> Tensors:
        return tensors(layout, self._numbers)

    def replay(self, numbers: torch.Tensor) -> Read:
        """The outputs; the next replay overwrites them."""
        self._numbers.copy_(numbers)
        self._graph.replay()
        return self._read


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
