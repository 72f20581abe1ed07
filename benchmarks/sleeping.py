"""Sleeping: a model that takes as long as it is told to and next to no CPU, and rows for it.

It stands for a GPU: while that works, the host has nothing to do. The model is a checkpoint with
code of its own, so that it runs in labelmill's own engine.
"""

import itertools
import json
import string
from collections.abc import Iterator
from pathlib import Path

from tests.support.models import tiny_classifier

ROWS = 64  # of a split
_CODE = '''\
"""BERT that sleeps in its forward pass, so long for each row."""

import time

from transformers import BertForSequenceClassification


class SleepingBertForSequenceClassification(BertForSequenceClassification):
    def forward(self, input_ids=None, attention_mask=None, token_type_ids=None, **others):
        time.sleep(self.config.seconds_a_row * len(input_ids))
        return super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            **others,
        )
'''


def model(directory: Path, seconds: float) -> str:
    """Save a checkpoint that takes so many seconds for a split; its path."""
    path = tiny_classifier(directory)
    (directory / "modeling_sleeping.py").write_text(_CODE, encoding="utf-8")
    name = "SleepingBertForSequenceClassification"
    config = json.loads((directory / "config.json").read_text("utf-8")) | {
        "architectures": [name],
        "auto_map": {"AutoModelForSequenceClassification": f"modeling_sleeping.{name}"},
        "seconds_a_row": seconds / ROWS,
    }
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return path


def shards(directory: Path, splits: int) -> None:
    """Write so many shards of JSON Lines, each of one split; rows of one length, no two the same.

    Equal rows would be predicted once, and rows of other lengths in other microbatches.
    """
    directory.mkdir()
    rows = _rows()
    for number in range(splits):
        lines = (json.dumps({"text": next(rows)}) + "\n" for _ in range(ROWS))
        (directory / f"{number:04d}.jsonl").write_text("".join(lines), encoding="utf-8")


def job(path: str, source: Path, output: Path, replicas: int) -> dict[str, object]:
    """Settings of a job file that labels them with it."""
    return {
        "task": "text-classification",
        # In float32 no self-check lets the first split take twice as long.
        "model": {"path": path, "engine": "pytorch", "precision": "float32"}
        | {"trust_remote_code": True},
        "source": {"path": str(source), "split_rows": ROWS, "split_bytes": 128 << 20},
        "output": {"path": str(output)},
        "resources": {"replicas": replicas},
    }


def _rows() -> Iterator[str]:
    return (" ".join(letters) for letters in itertools.product(string.ascii_lowercase, repeat=4))
