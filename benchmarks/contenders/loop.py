"""Loop: what the hand-written contenders are made of, as good as we know how to write it.

The fast tokenizer called in batches at its Rust backend; rows in order of their length, longest
first; microbatches by a token budget; rows back in their order. No dataset library, no data loader,
no copies that can be avoided. What runs the model is not here.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from benchmarks import machine
from benchmarks.setting import Setting

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

_ROWS = 1024  # texts a call of the tokenizer
# Where a CPU computes by tiles, attention over other lengths takes up to half as long again. It
# pays where at most a quarter of the padded length is padding.
_TILE = 16
_MOST_PADDING = 1 / 4


def tile(setting: Setting) -> int:
    """What lengths are best a multiple of, whichever engine computes."""
    tiles = setting.precision == "bfloat16" and "amx_bf16" in machine.flags()
    return _TILE if tiles else 1


class Loop:
    """A tokenizer, the names of the labels, and what becomes of rows around a model."""

    def __init__(self, setting: Setting, budget: int, multiple_of: int = 1) -> None:
        """`budget` is the tokens of a microbatch, padding included; lengths are of a multiple."""
        self._tokenizer = Tokenizer.from_file(str(Path(setting.model) / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(setting.max_length)
        config = json.loads((Path(setting.model) / "config.json").read_text("utf-8"))
        names = sorted(config["id2label"].items(), key=lambda item: int(item[0]))
        self.labels = np.array([name for _, name in names])
        self._pad = config.get("pad_token_id") or 0
        self._budget = budget
        self._multiple_of = multiple_of
        self._max_length = setting.max_length

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Token ids of each text."""
        return [
            np.array(encoding.ids, np.int64)
            for start in range(0, len(texts), _ROWS)
            for encoding in self._tokenizer.encode_batch_fast(texts[start : start + _ROWS])
        ]

    def microbatches(self, encoded: Sequence[Ids]) -> Iterator[tuple[Ids, Ids, Ids]]:
        """Places [rows] of some texts, their ids and mask [rows, tokens]; the longest first."""
        lengths = np.array([len(ids) for ids in encoded])
        order = np.argsort(-lengths, kind="stable")
        start = 0
        while start < len(order):
            width = self._width(int(lengths[order[start]]))
            stop = start + max(1, self._budget // width)
            places = order[start:stop]
            yield places, *self._padded([encoded[place] for place in places], width)
            start = stop

    def write(self, path: Path, ids: pa.ChunkedArray, scores: Floats) -> None:
        """One output shard: id, label, score."""
        best = scores.argmax(axis=1)
        table = pa.table(
            {
                "id": ids,
                "label": self.labels[best],
                "score": scores[np.arange(len(best)), best],
            }
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)

    def _width(self, longest: int) -> int:
        whole = min(-(-longest // self._multiple_of) * self._multiple_of, self._max_length)
        return whole if whole - longest <= whole * _MOST_PADDING else longest

    def _padded(self, rows: Sequence[Ids], width: int) -> tuple[Ids, Ids]:
        ids = np.full((len(rows), width), self._pad, np.int64)
        mask = np.zeros_like(ids)
        for row, values in enumerate(rows):
            ids[row, : len(values)] = values
            mask[row, : len(values)] = 1
        return ids, mask
