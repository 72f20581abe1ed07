"""The model side of a job in one process, without stages: texts in, the task's columns out."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from labelmill import checkpoints
from labelmill.batch import Encoded, ModelFacts, Outputs
from labelmill.batching import microbatches
from labelmill.engines import Engine, pytorch

Fields = Mapping[str, Sequence[str | None]]


@functools.lru_cache(maxsize=4)
def opened(path: str, auto_class: str) -> tuple[ModelFacts, Any, Engine]:
    """Facts, tokenizer and float32 engine of a local checkpoint."""
    checkpoint = checkpoints.resolve(path, None, trust_remote_code=False, allow_pickle=False)
    engine = pytorch.load(checkpoint, auto_class, precision="float32", device="cpu", threads=1)
    return checkpoints.facts(checkpoint), checkpoints.processor(checkpoint), engine


def columns(fields: Fields) -> dict[str, pa.ChunkedArray]:
    """Fields as the stages hand them to a task."""
    return {
        name: pa.chunked_array([pa.array(values, pa.string())]) for name, values in fields.items()
    }


def predict(engine: Engine, encoded: Encoded, budget: int, pad_token_id: int) -> Outputs:
    """Outputs in the order of the sequences."""
    collected: dict[str, Any] = {}
    for batch in microbatches(encoded, budget, pad_token_id):
        for name, values in engine.forward(batch).items():
            collected.setdefault(name, np.zeros((len(encoded), *values.shape[1:]), np.float32))
            collected[name][batch.sequences] = values
    return collected


def label(path: str, task: Any, fields: Fields, options: Any, budget: int = 2048) -> pa.Table:
    """The columns that the task adds."""
    facts, processor, engine = opened(path, task.auto_class)
    encoded = task.encode(columns(fields), processor, facts, options)
    outputs = predict(engine, encoded, budget, facts.pad_token_id)
    rows = len(next(iter(fields.values())))
    return task.decode(outputs, encoded, rows, facts, options)
