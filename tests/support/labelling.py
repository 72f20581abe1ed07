"""The model side of a job in one process, without stages: fields in, the task's columns out."""

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from labelmill import checkpoints
from labelmill.batch import Encoded, ModelFacts, Outputs
from labelmill.batching import microbatches, outputs_in_order
from labelmill.engines import Engine, pytorch
from labelmill.ops import fields as notation
from labelmill.readouts import Logits, Readout
from labelmill.tasks import model_class

Fields = Mapping[str, Sequence[Any]]


@functools.lru_cache(maxsize=4)
def opened(
    path: str, auto_class: str, kind: str = "AutoTokenizer"
) -> tuple[ModelFacts, Any, Engine]:
    """Facts, processor and float32 engine of a local checkpoint, read out as logits."""
    facts, processor = known(path, kind)
    return facts, processor, engine_of(path, auto_class, Logits())


@functools.lru_cache(maxsize=8)
def known(path: str, kind: str = "AutoTokenizer") -> tuple[ModelFacts, Any]:
    """Facts and processor of a local checkpoint."""
    checkpoint = _checkpoint(path)
    return checkpoints.facts(checkpoint, kind), checkpoints.processor(checkpoint, kind)


@functools.lru_cache(maxsize=4)
def engine_of(path: str, auto_class: str, readout: Readout) -> Engine:
    """The float32 engine of a local checkpoint; for readouts that can be hashed."""
    return new_engine(path, auto_class, readout)


def new_engine(path: str, auto_class: str, readout: Readout) -> Engine:
    """The float32 engine of a local checkpoint, made anew."""
    return pytorch.load(
        _checkpoint(path), auto_class, readout, precision="float32", device="cpu", threads=1
    )


def _checkpoint(path: str) -> checkpoints.Checkpoint:
    return checkpoints.resolve(path, None, trust_remote_code=False, allow_pickle=False)


def columns(fields: Fields) -> dict[str, pa.ChunkedArray]:
    """Fields as the stages hand them to a task: text, JSON text of lists, bytes."""
    return {name: pa.chunked_array([_column(values)]) for name, values in fields.items()}


def _column(values: Sequence[Any]) -> pa.Array:
    if any(isinstance(value, bytes) for value in values):
        return pa.array(values, pa.large_binary())
    texts = [json.dumps(value) if isinstance(value, list | dict) else value for value in values]
    return pa.array(texts, pa.large_string())


def predict(engine: Engine, encoded: Encoded, budget: int, pad_token_id: int) -> Outputs:
    """Outputs in the order of the sequences."""
    pieces = [
        (batch.sequences, engine.forward(batch))
        for batch in microbatches(encoded, budget, pad_token_id)
    ]
    return outputs_in_order(pieces, len(encoded))


def label(path: str, task: Any, fields: Fields, options: Any, budget: int = 2048) -> pa.Table:
    """The columns that the task adds."""
    facts, processor = known(path, task.processor)
    given = columns(fields)
    encoded = task.encode(given, processor, facts, options)
    readout = task.readout(processor, facts, options)
    chosen = model_class(task, facts, options)
    engine = _engine(path, chosen, readout)
    outputs = predict(engine, encoded, budget, facts.pad_token_id)
    kinds = {field.name: field.kind for field in notation.flat(task.fields)}
    told = {
        name: pa.chunked_array([pa.nulls(len(column), pa.large_string())])
        if kinds[name] == "media"
        else column
        for name, column in given.items()
    }
    if not len(encoded):
        schema = task.schema(facts, options)
        rows = len(next(iter(given.values())))
        return pa.table([pa.nulls(rows, field.type) for field in schema], schema=schema)
    return task.decode(outputs, encoded, told, processor, facts, options)


def _engine(path: str, auto_class: str, readout: Readout) -> Engine:
    try:
        hash(readout)
    except TypeError:
        return new_engine(path, auto_class, readout)
    return engine_of(path, auto_class, readout)
