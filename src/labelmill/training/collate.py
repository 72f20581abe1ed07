"""Collate: some examples to the tensors of one batch, padded on the right to the longest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch

from labelmill.batch import Array, Ragged
from labelmill.learning import IGNORED
from labelmill.training.examples import Layout, batch_of

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collator:
    """Rows of a file of examples to tensors by name; "attention_mask" says what is no padding."""

    layout: Layout
    pad_token_id: int
    multiple: int = 1  # lengths are padded to a multiple of it
    shortest: int = 1  # and of inputs to so many at least

    def __call__(self, rows: Sequence[pa.RecordBatch]) -> Tensors:
        """The batch: int64 and float32."""
        tensors: Tensors = {}
        for name, values in batch_of(rows, self.layout).items():
            if not isinstance(values, Ragged):
                tensors[name] = _tensor(values)
                continue
            shortest = self.shortest if name in self.layout.inputs else 1
            tensors[name] = _tensor(self._padded(values, self._filler(name), shortest))
            if name == self.layout.inputs[:1][0] and self.layout.maskable:
                ones = Ragged(values=np.ones(len(values.values), np.int64), lengths=values.lengths)
                tensors["attention_mask"] = _tensor(self._padded(ones, 0, shortest))
        return tensors

    def _filler(self, name: str) -> int:
        if name in self.layout.targets:
            return IGNORED
        return self.pad_token_id if name == "input_ids" else 0

    def _padded(self, values: Ragged, filler: int, shortest: int) -> Array:
        longest = -(-int(values.lengths.max(initial=shortest)) // self.multiple) * self.multiple
        columns = np.arange(longest)
        present = columns < values.lengths[:, np.newaxis]
        padded = np.full(present.shape, filler, values.values.dtype)
        padded[present] = values.values
        return padded


def _tensor(values: Array) -> torch.Tensor:
    kind = np.float32 if values.dtype.kind == "f" else np.int64
    return torch.from_numpy(np.array(values, dtype=kind))
