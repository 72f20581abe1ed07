"""Inference: the encoded rows of one split through an engine, microbatch by microbatch.

Sequences that are the same to the model are predicted once, and all of them get what came of it.
Out of memory halves the budget, remembers it, and goes on with what is left; a single sequence that
does not fit is the caller's to reject. Outputs come back in the order of the sequences, whatever
the order of the microbatches was.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labelmill import engines
from labelmill.batch import Array, Encoded, Microbatch, Outputs, Ragged
from labelmill.batching import microbatches, outputs_in_order
from labelmill.engines import Engine
from labelmill.errors import EngineError, OutOfMemory
from labelmill.ledger import quantized
from labelmill.ops import plugins, repeats
from labelmill.plan.recipe import Recipe
from labelmill.readouts import Readout
from labelmill.stages.processor import processor_of
from labelmill.stages.streams import predicted
from labelmill.storage import open_store
from labelmill.tasks import Task, model_class

Progress = Callable[[int, int], None]  # sequences and tokens predicted so far


@dataclass(frozen=True, slots=True, kw_only=True)
class Inferred:
    """The outputs of a split and what it cost."""

    outputs: Outputs  # [sequences, ...] by name
    padded_tokens: int  # tokens computed, padding included
    finite: npt.NDArray[np.bool_]  # [sequences] every output is a finite number
    repeated: npt.NDArray[np.bool_]  # [sequences] predicted with an earlier one that is the same


class Inference:
    """An engine with the token budget that it is known to bear."""

    def __init__(self, engine: Engine, budget: int, pad_token_id: int) -> None:
        self._engine = engine
        self._pad_token_id = pad_token_id
        self.budget = budget
        self.packs = engine.packs

    def run(self, encoded: Encoded, progress: Progress | None = None) -> Inferred:
        """Predict every sequence; raises EngineError where one alone does not fit into memory."""
        collected = _Collected(encoded, repeats.originals(encoded))
        while True:
            left = np.flatnonzero(~collected.done)
            try:
                batches = self._microbatches(encoded, left)
                for batch, outputs in predicted(self._forward, batches, self._engine.streams):
                    collected.add(batch, outputs)
                    if progress is not None:
                        progress(collected.sequences, collected.tokens)
                return collected.inferred()
            except _TooLarge as failure:
                self._shrink(failure.batch, failure, encoded)

    def _microbatches(self, encoded: Encoded, left: npt.NDArray[np.int64]) -> Iterator[Microbatch]:
        engine = self._engine
        return microbatches(
            encoded,
            self.budget,
            self._pad_token_id,
            padding=engine.padding,
            only=left,
            packed=engine.packs,
        )

    def _forward(self, batch: Microbatch) -> Outputs:
        try:
            return self._engine.forward(batch)
        except OutOfMemory as error:
            raise _TooLarge(batch) from error

    def _shrink(self, batch: Microbatch, failure: "_TooLarge", encoded: Encoded) -> None:
        """Halve what the microbatch held; the new budget stays."""
        rows, longest = batch.shape[0], -(-batch.shape[1] // encoded.unit) + encoded.written
        if rows == 1:
            raise EngineError(
                f"one sequence of {longest} tokens does not fit into the memory of "
                f"{self._engine.device!r} ({failure.__cause__}); lower options.max_length"
            ) from failure
        self.budget = max(longest, (batch.size // encoded.unit + rows * encoded.written) // 2)


class _TooLarge(Exception):  # noqa: N818 - never leaves this module
    """The microbatch that did not fit."""

    def __init__(self, batch: Microbatch) -> None:
        self.batch = batch


class _Collected:
    """Outputs put back into the order of the sequences."""

    def __init__(self, encoded: Encoded, originals: npt.NDArray[np.int64]) -> None:
        self._unit = encoded.unit
        self._originals = originals
        self._copies = np.bincount(originals, minlength=len(encoded))  # of each original, itself in
        self._repeated = originals != np.arange(len(encoded))
        self.done = self._repeated.copy()
        self._pieces: list[tuple[npt.NDArray[np.int64], Outputs]] = []
        self._padded = 0
        self.sequences = 0
        self.tokens = 0

    def add(self, batch: Microbatch, outputs: Outputs) -> None:
        self._pieces.append((batch.sequences, outputs))
        self.done[batch.sequences] = True
        self._padded += -(-batch.size // self._unit)
        copies = self._copies[batch.sequences]
        self.sequences += int(copies.sum())
        self.tokens += int((batch.lengths * copies).sum()) // self._unit

    def inferred(self) -> Inferred:
        outputs = outputs_in_order(self._pieces, len(self.done), self._originals)
        finite: npt.NDArray[np.bool_] = np.ones(len(self.done), np.bool_)
        for values in outputs.values():
            np.logical_and(finite, _finite(values), out=finite)
        return Inferred(
            outputs=outputs, padded_tokens=self._padded, finite=finite, repeated=self._repeated
        )


def _finite(values: Array | Ragged) -> npt.NDArray[np.bool_]:
    """[sequences] every number of the output is finite."""
    inner = values.values if isinstance(values, Ragged) else values
    if inner.dtype.kind != "f":
        return np.ones(len(values), np.bool_)
    fine: npt.NDArray[np.bool_] = np.asarray(np.isfinite(inner.reshape(len(inner), -1)).all(axis=1))
    if not isinstance(values, Ragged):
        return fine
    broken: npt.NDArray[np.int64] = np.concatenate([[0], np.cumsum(~fine)])
    offsets = values.offsets
    return np.equal(broken[offsets[1:]], broken[offsets[:-1]])


def open_inference(
    recipe: Recipe, precision: str | None = None, *, compiled: bool = False
) -> Inference:
    """The recipe's engine on this machine's device, with its token budget.

    `compiled` is for who labels for hours: it takes seconds here.
    Raises EngineError where this machine has another device than the run was started on: labels
    would differ from the parts that are there.
    """
    runtime = recipe.runtime
    task: Task = plugins.load_class("labelmill.tasks", recipe.task)()
    readout = task.readout(processor_of(recipe), recipe.facts, recipe.options)
    precision = precision or runtime.precision
    if precision == "int8":
        engine = _quantized(recipe, readout)
    else:
        engine = engines.load(
            runtime.engine,
            recipe.checkpoint,
            model_class(task, recipe.facts, recipe.options),
            readout,
            precision=precision,
            device=runtime.device,
            threads=runtime.threads,
            compiled=compiled,
        )
    return Inference(engine, runtime.budget or engine.default_budget, recipe.facts.pad_token_id)


def _quantized(recipe: Recipe, readout: Readout) -> Engine:
    """The engine with the run's own model."""
    runtime = recipe.runtime
    assert runtime.quantized is not None, "no model in int8 was made"  # noqa: S101 - for mypy
    digest = runtime.quantized.digest
    read = functools.partial(quantized.read, open_store(recipe.output.url), digest)
    return engines.load_quantized(
        runtime.engine, read, digest, recipe.checkpoint, readout, threads=runtime.threads
    )
