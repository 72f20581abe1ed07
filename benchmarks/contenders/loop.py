"""Loop: what both hand-written contenders are made of, as good as we know how to write it.

The fast tokenizer called in batches at its Rust backend; rows in order of their length, longest
first; microbatches by a token budget; bf16 where the CPU computes in it; softmax in float32; rows
back in their order. No dataset library, no data loader, no copies that can be avoided.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import logging

from benchmarks.setting import Setting

Ids = npt.NDArray[np.int64]

# Tokens a thread, padding included. Of 512 to 8192, 1024 was the fastest: beyond 2048 activations
# leave the cache.
_BUDGET = 1024
_ROWS = 1024  # texts a call of the tokenizer


class Loop:
    """A model and a tokenizer, ready to label texts."""

    def __init__(self, setting: Setting, threads: int) -> None:
        torch.set_num_threads(threads)
        self._tokenizer = Tokenizer.from_file(str(Path(setting.model) / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(setting.max_length)
        self._model = _model(setting)
        self._labels = np.array([name for _, name in sorted(self._model.config.id2label.items())])
        self._pad = self._model.config.pad_token_id or 0
        self._budget = _BUDGET * threads

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Token ids of each text."""
        return [
            np.array(encoding.ids, np.int64)
            for start in range(0, len(texts), _ROWS)
            for encoding in self._tokenizer.encode_batch_fast(texts[start : start + _ROWS])
        ]

    @torch.inference_mode()
    def scores(self, encoded: Sequence[Ids]) -> npt.NDArray[np.float32]:
        """Probabilities [texts, labels], in the order given."""
        scores = np.empty((len(encoded), len(self._labels)), np.float32)
        for places in self._microbatches(encoded):
            ids, mask = self._padded([encoded[place] for place in places])
            logits = self._model(input_ids=ids, attention_mask=mask).logits
            scores[places] = logits.float().softmax(-1).numpy()
        return scores

    def write(self, path: Path, ids: pa.ChunkedArray, scores: npt.NDArray[np.float32]) -> None:
        """One output shard: id, label, score."""
        best = scores.argmax(axis=1)
        table = pa.table(
            {
                "id": ids,
                "label": self._labels[best],
                "score": scores[np.arange(len(best)), best],
            }
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)

    def _microbatches(self, encoded: Sequence[Ids]) -> Iterator[Ids]:
        lengths = np.array([len(ids) for ids in encoded])
        order = np.argsort(-lengths, kind="stable")
        start = 0
        while start < len(order):
            stop = start + max(1, self._budget // int(lengths[order[start]]))
            yield order[start:stop]
            start = stop

    def _padded(self, rows: Sequence[Ids]) -> tuple[torch.Tensor, torch.Tensor]:
        ids = np.full((len(rows), len(rows[0])), self._pad, np.int64)
        mask = np.zeros_like(ids)
        for row, values in enumerate(rows):
            ids[row, : len(values)] = values
            mask[row, : len(values)] = 1
        return torch.from_numpy(ids), torch.from_numpy(mask)


def _model(setting: Setting) -> PreTrainedModel:
    logging.disable_progress_bar()
    return AutoModelForSequenceClassification.from_pretrained(
        setting.model, dtype=getattr(torch, setting.precision), local_files_only=True
    ).eval()
