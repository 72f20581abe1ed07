"""Ways to run a model over documents on a GPU: ours, and the loops that people write by hand."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from benchmarks.gpu_models import Shape, module_of
from labelmill.batch import Encoded, Outputs, dense
from labelmill.batching import microbatches, outputs_in_order
from labelmill.checkpoints import Checkpoint
from labelmill.engines.pytorch.engine import PyTorchEngine
from labelmill.engines.pytorch.packing import Packing
from labelmill.readouts import Readout

_NOWHERE = Checkpoint(source="random", path="", revision=None, digest="")

Run = Callable[[Encoded], np.ndarray]  # -> [documents, ...] float32, in their order


class Ours:
    """The engine over one split after another, as a replica does it."""

    def __init__(  # noqa: PLR0913
        self,
        shape: Shape,
        readout: Readout,
        *,
        device: str,
        precision: str,
        budget: int,
        packing: Packing | None,
        compiled: bool = False,
    ) -> None:
        self.module = module_of(shape, device, getattr(torch, precision))
        self.engine = PyTorchEngine(
            self.module,
            readout,
            _NOWHERE,
            precision=precision,
            device=device,
            packing=packing,
            compiled=compiled,
        )
        if packing is not None and not self.engine.packs:
            raise RuntimeError("the engine does not pack this model: packed and padded differ")
        self.budget = budget

    def __call__(self, documents: Encoded) -> np.ndarray:
        """One split."""
        engine = self.engine
        pieces: list[tuple[np.ndarray, Outputs]] = [
            (batch.sequences, engine.forward(batch))
            for batch in microbatches(
                documents, self.budget, 0, padding=engine.padding, packed=engine.packs
            )
        ]
        outputs = outputs_in_order(pieces, len(documents))
        return np.asarray(dense(outputs, next(iter(outputs))))


class Sorted:
    """By hand: sorted by length, as many as fit a budget, padded to a multiple of eight."""

    def __init__(self, module: Any, *, device: str, budget: int, compiled: bool = False) -> None:
        self._model = torch.compile(module, dynamic=True) if compiled else module
        self._device = device
        self._budget = budget

    def __call__(self, documents: Encoded) -> np.ndarray:
        """One split."""
        order = np.argsort(-documents.lengths, kind="stable")
        groups = _groups(documents.lengths[order], self._budget)
        return _looped(self._model, documents, order, groups, self._device)


class InOrder:
    """By hand: batches of 256 as they come, padded to the longest."""

    def __init__(self, module: Any, *, device: str, rows: int = 256) -> None:
        self._model = module
        self._device = device
        self._rows = rows

    def __call__(self, documents: Encoded) -> np.ndarray:
        """One split."""
        order = np.arange(len(documents))
        starts = [*range(0, len(order), self._rows), len(order)]
        groups = list(pairwise(starts))
        return _looped(self._model, documents, order, groups, self._device)


def _groups(lengths: np.ndarray, budget: int) -> list[tuple[int, int]]:
    groups, start = [], 0
    while start < len(lengths):
        stop = start + max(1, budget // _rounded(int(lengths[start])))
        groups.append((start, min(stop, len(lengths))))
        start = stop
    return groups


def _rounded(length: int) -> int:
    return -(-length // 8) * 8


@torch.inference_mode()
def _looped(
    model: Any,
    documents: Encoded,
    order: np.ndarray,
    groups: list[tuple[int, int]],
    device: str,
) -> np.ndarray:
    """Copies are pinned and outputs stay on the device until the end, as a careful author does."""
    found = []
    for ids, mask in _padded(documents, order, groups):
        inputs = (_moved(tensor, device) for tensor in (ids, mask))
        found.append(
            model(**dict(zip(("input_ids", "attention_mask"), inputs, strict=True))).logits
        )
    logits = torch.cat(found).float().cpu().numpy()
    restored = np.empty_like(logits)
    restored[order] = logits
    return restored


def _moved(tensor: torch.Tensor, device: str) -> torch.Tensor:
    return tensor if device == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def _padded(
    documents: Encoded, order: np.ndarray, groups: list[tuple[int, int]]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    ids, offsets = documents.inputs["input_ids"], documents.offsets
    for start, stop in groups:
        chosen = order[start:stop]
        lengths = documents.lengths[chosen]
        columns = np.arange(_rounded(int(lengths.max())))
        mask = columns < lengths[:, None]
        index = np.minimum(offsets[chosen][:, None] + columns, len(ids) - 1)
        padded = np.where(mask, ids[index], 0).astype(np.int64)
        yield torch.from_numpy(padded), torch.from_numpy(mask.astype(np.int64))
