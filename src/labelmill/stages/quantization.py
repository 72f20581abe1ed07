"""Quantization: the model of a run in int8, made before the first split of the first attempt.

It is calibrated on some of the job's rows and compared with float32 on others, both spread over
short and long ones; which rows is a function of the source alone. Model and record are kept in the
run, and every later attempt, slice and replica takes them from there. It does not know how a graph
is quantized: the engine does.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from labelmill import engines
from labelmill.batch import Encoded, Microbatch
from labelmill.batching import microbatches
from labelmill.errors import ConfigError, CorruptRun, InputError
from labelmill.ledger import quantized as ledger
from labelmill.ledger.quantized import Quantized
from labelmill.ops import plugins
from labelmill.plan.recipe import Recipe
from labelmill.splits import CutRule, Shard
from labelmill.stages import agreement
from labelmill.stages.board import Board
from labelmill.stages.inference import Inference, open_inference
from labelmill.stages.predict import fields_of
from labelmill.stages.processor import processor_of
from labelmill.stages.read import ReadWork, read
from labelmill.stages.tokenize import tokenize
from labelmill.storage import open_store
from labelmill.tasks import Fields, Task, model_class
from labelmill.threads import cores

COMPARED = 512  # rows
# Calibrated on as many rows as have so many tokens, within bounds. Of web documents and of reviews
# 128 rows gave what 300 did in half of the time, 64 of reviews less; of short texts 128 gave less.
CALIBRATED_TOKENS = 16_384
FEWEST, MOST = 128, 300
_SHARDS = 16  # of which the first rows are looked at
_ROWS = 2048  # that are looked at, of all of these shards
_BYTES = 16 << 20
_BUDGET = 1024  # tokens a microbatch of the calibration
_INT8 = "int8"
_IDS = "input_ids"


def with_int8(recipe: Recipe, shards: Sequence[Shard], *, begun: bool) -> Recipe:
    """The recipe with the run's model in int8, where that is its precision; made now if need be.

    `begun` says that splits are committed. Raises EngineError where too few labels are those of
    float32, CorruptRun where the model of committed splits is gone, ConfigError without nncf.
    """
    if recipe.runtime.precision != _INT8:
        return recipe
    store = open_store(recipe.output.url)
    standing = ledger.load(store)
    if standing is None:
        if begun:
            raise CorruptRun(
                f"the run in {store.url!r} has splits that were labelled in 'int8', and the model "
                "that did it is gone; restore it, or use a new output directory"
            )
        standing = _made(recipe, shards)
    agreement.require(standing.agreement, recipe.runtime.min_agreement, _INT8)
    return _with(recipe, standing)


def _with(recipe: Recipe, found: Quantized) -> Recipe:
    return replace(recipe, runtime=replace(recipe.runtime, quantized=found))


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows of one shard, as the task reads them and as the model sees them."""

    encoded: Encoded
    fields: Fields

    def take(self, rows: Sequence[int]) -> "_Piece":
        chosen = np.array(sorted(rows), np.int64)
        fields = {name: column.take(pa.array(chosen)) for name, column in self.fields.items()}
        return _Piece(agreement.part_of(self.encoded, chosen), fields)


def _made(recipe: Recipe, shards: Sequence[Shard]) -> Quantized:
    # No replica runs yet: the cores are free.
    threads = cores()
    recipe = replace(recipe, runtime=replace(recipe.runtime, threads=threads))
    task: Task = plugins.load_class("labelmill.tasks", recipe.task)()
    calibration, others = _halves([*_pieces(recipe, shards)])
    model = engines.quantize(
        recipe.runtime.engine,
        recipe.checkpoint,
        model_class(task, recipe.facts, recipe.options),
        task.readout(processor_of(recipe), recipe.facts, recipe.options),
        [batch for piece in calibration for batch in _batches(piece, recipe)],
        threads=threads,
    )
    store = open_store(recipe.output.url)
    made = Quantized(digest=ledger.keep(store, model), agreement={})
    found = _compared(_with(recipe, made), task, others)
    return ledger.settle(store, replace(made, agreement=found))


def _pieces(recipe: Recipe, shards: Sequence[Shard]) -> Iterator[_Piece]:
    """The first rows of shards that are evenly spread over the source."""
    places = np.unique(np.linspace(0, len(shards) - 1, min(len(shards), _SHARDS)).astype(int))
    rule = CutRule(split_rows=-(-_ROWS // len(places)), split_bytes=_BYTES)
    recipe = replace(recipe, request=replace(recipe.request, rule=rule))
    board = Board()
    for place in places:
        parcels = read(ReadWork(shard=shards[place], generation=0), recipe, board)
        for parcel in itertools.islice(parcels, 1):
            parcel = tokenize(parcel, recipe, board)  # noqa: PLW2901 - the next stage of the same
            if not len(encoded := parcel.encoded()):
                continue
            if _IDS not in encoded.inputs:
                raise ConfigError("model.precision: 'int8' is for models of text; set it to 'auto'")
            yield _Piece(encoded, fields_of(parcel))


def _halves(pieces: Sequence[_Piece]) -> tuple[list[_Piece], list[_Piece]]:
    """Rows to calibrate on and others to compare, both from the shortest to the longest."""
    ranked = _ranked(pieces)
    if len(ranked) < 2:
        raise InputError(
            f"model.precision: 'int8' is calibrated on some rows of the source and compared on "
            f"others; {len(ranked)} different rows without fault were found at the start of its "
            "shards, expected at least 2; set it to 'auto', and use a new output directory"
        )
    return _some(pieces, ranked[0::2], _calibrated(pieces)), _some(pieces, ranked[1::2], COMPARED)


def _calibrated(pieces: Sequence[_Piece]) -> int:
    rows = sum(len(np.unique(piece.encoded.rows)) for piece in pieces)
    tokens = sum(int(piece.encoded.lengths.sum()) for piece in pieces)
    return min(max(CALIBRATED_TOKENS * rows // tokens, FEWEST), MOST)


def _ranked(pieces: Sequence[_Piece]) -> list[tuple[int, int]]:
    """Piece and row of each row that differs from those before it, the fewest tokens first."""
    found: dict[bytes, tuple[int, int, int]] = {}
    for number, piece in enumerate(pieces):
        encoded, ids = piece.encoded, piece.encoded.inputs[_IDS]
        rows, firsts = np.unique(encoded.rows, return_index=True)
        starts = encoded.offsets[np.append(firsts, len(encoded))]
        for row, start, stop in zip(rows.tolist(), starts[:-1], starts[1:], strict=True):
            place = (int(stop - start), number, row)
            found.setdefault(ids[start:stop].astype(np.int32).tobytes(), place)
    return [(number, row) for _, number, row in sorted(found.values())]


def _some(pieces: Sequence[_Piece], ranked: Sequence[tuple[int, int]], count: int) -> list[_Piece]:
    """So many of the rows, evenly spread over their ranks."""
    places = np.unique(np.linspace(0, len(ranked) - 1, min(len(ranked), count)).astype(int))
    chosen: dict[int, list[int]] = {}
    for number, row in (ranked[place] for place in places):
        chosen.setdefault(number, []).append(row)
    return [pieces[number].take(rows) for number, rows in sorted(chosen.items())]


def _batches(piece: _Piece, recipe: Recipe) -> Iterator[Microbatch]:
    return microbatches(piece.encoded, _BUDGET, recipe.facts.pad_token_id)


def _compared(recipe: Recipe, task: Task, others: Sequence[_Piece]) -> Mapping[str, float]:
    """The self-check's record of the model in int8."""
    tables = []
    for precision in (_INT8, "float32"):
        inference = open_inference(recipe, precision)
        decoded = [_decoded(recipe, task, inference, piece) for piece in others]
        tables.append(pa.concat_tables(decoded).combine_chunks())
    ours, reference = tables
    return agreement.record(task.agrees(ours, reference), ours, reference)


def _decoded(recipe: Recipe, task: Task, inference: Inference, piece: _Piece) -> pa.Table:
    outputs = inference.run(piece.encoded).outputs
    processor = processor_of(recipe)
    return task.decode(
        outputs, piece.encoded, piece.fields, processor, recipe.facts, recipe.options
    )
