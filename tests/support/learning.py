"""Training in one process without jobs: what a task learns of rows, its loss, a few steps."""

import inspect
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
import transformers

from labelmill import checkpoints
from labelmill.learning import Examples
from labelmill.tasks import model_class
from labelmill.training.collate import Collator, Tensors
from labelmill.training.contrast import Contrast
from labelmill.training.decoder_inputs import decoder_inputs
from labelmill.training.examples import Layout, table
from labelmill.training.losses import Loss
from tests.support.labelling import columns, known

STEPS = 60  # in which a tiny model learns a few rows by heart


def learned(
    path: str, task: Any, fields: Mapping[str, Any], targets: Mapping[str, Any], options: Any
) -> Examples:
    """What the task makes of the rows."""
    facts, processor = known(path, task.processor)
    return task.learn(columns(fields), columns(targets), processor, facts, options)


def sequences(examples: Examples, name: str = "input_ids") -> list[list[int]]:
    """The model inputs of each sequence, or what is to be learned, if ragged."""
    encoded = examples.encoded
    if name in encoded.inputs:
        edges = encoded.offsets
        values = encoded.inputs[name]
    else:
        edges, values = examples.targets[name].offsets, examples.targets[name].values
    return [values[start:end].tolist() for start, end in pairwise(edges)]


def batch(path: str, task: Any, examples: Examples) -> Tensors:
    """All examples as one batch, as a worker gets it."""
    made = table(examples)
    layout = Layout.from_metadata(made.schema.metadata)
    rows: Sequence[pa.RecordBatch] = made.combine_chunks().to_batches()
    facts, _ = known(path, task.processor)
    return Collator(layout=layout, pad_token_id=facts.pad_token_id)(rows)


def model_of(path: str, task: Any, options: Any) -> Any:
    """The model in float32, without dropout."""
    chosen = model_class(task, known(path, task.processor)[0], options)
    return getattr(transformers, chosen).from_pretrained(path, dtype=torch.float32).eval()


def contrast_of(path: str, task: Any, options: Any, model: Any) -> Contrast:
    """What makes vectors of the model's texts, and their loss."""
    facts, processor = known(path, task.processor)
    readout = task.readout(processor, facts, options)
    checkpoint = checkpoints.resolve(path, None, trust_remote_code=False, allow_pickle=False)
    return Contrast(readout, checkpoint, model, facts.pad_token_id)


def loss_of(path: str, task: Any, examples: Examples, options: Any, model: Any) -> torch.Tensor:
    """The mean loss of the batch, as the trainer has it on one worker."""
    loss = Loss(objective=task.objective(known(path, task.processor)[0], options))
    tensors = batch(path, task, examples)
    if loss.objective == "in_batch_negatives":
        accepted = frozenset(inspect.signature(model.forward).parameters)
        total = contrast_of(path, task, options, model).total(model, tensors, accepted)
        return total / loss.count(tensors)
    targets = {name: tensors.pop(name) for name in examples.targets}
    if loss.objective == "written":
        tensors |= decoder_inputs(model, targets["labels"])
    return loss.total(model(**tensors), targets) / loss.count(targets)


def overfit(
    path: str, task: Any, examples: Examples, options: Any, place: Path, *, fresh: bool = True
) -> str:
    """Train on all examples for STEPS, `fresh` weights or the checkpoint's; the trained one."""
    torch.manual_seed(0)
    model, rate = model_of(path, task, options), 0.01
    if fresh:
        model = type(model)(model.config).eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 5) * min(1.0, 2 * (1 - step / STEPS))
        loss = loss_of(path, task, examples, options, model)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.save_pretrained(place)
    known(path, task.processor)[1].save_pretrained(place)
    return str(place)
