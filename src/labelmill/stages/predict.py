"""Predict: the third stage. One replica holds one model and labels one split a call.

A split that has taken its replica down twice is suspect: the rows that do it are found in a child
process (quarantine) and rejected, and the others are predicted as always. A split that kills its
replica all the same ends the job, so that no split is tried for ever. Rows with non-finite outputs
are rejects. In reduced precision each replica compares the first split that it has rows of with
float32, for another device may compute otherwise.
"""

import time
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from labelmill.batch import Encoded
from labelmill.errors import EngineError
from labelmill.ops import plugins
from labelmill.plan.recipe import Recipe
from labelmill.stages import agreement
from labelmill.stages.board import Lives, Notices, Past
from labelmill.stages.inference import Inferred, open_inference
from labelmill.stages.parcel import Parcel
from labelmill.stages.processor import processor_of
from labelmill.stages.quarantine import Quarantine, without
from labelmill.tasks import Fields, Task, is_checked

NOT_FINITE = "the model's output is not a finite number"
TRIES = 2  # a replica may die twice over a split before the split is suspect
_IDLE = 12  # lives of one replica in which nobody commits a split, until the job is given up
_LOADINGS = 3  # deaths of one replica while it loads the model, until the job is given up
LIMIT = 6  # deaths over a split after which it is given up, while it is judged too
_UNSEEN = Past()
_POST_EVERY = 0.5  # seconds


class Replica:
    """One model, ready to label splits one after another."""

    def __init__(self, recipe: Recipe, board: Notices) -> None:
        self._recipe = recipe
        self._board = board
        self._task: Task = plugins.load_class("labelmill.tasks", recipe.task)()
        reduced = recipe.runtime.precision != "float32"
        self._to_check = reduced and is_checked(self._task, recipe.facts)
        self._inference = open_inference(recipe, compiled=recipe.runtime.compiled)

    def predict(self, parcel: Parcel) -> Parcel:
        """The parcel with its labels; skipped once the job is stopping."""
        if parcel.head.skipped or self._board.stopping():
            return parcel.skip()
        split = parcel.head.split.id
        started = time.perf_counter()
        encoded = parcel.encoded()
        past = self._board.begin(split) if len(encoded) else _UNSEEN
        lethal = self._lethal(split, past, encoded)
        encoded = without(encoded, lethal)
        done = self._inference.run(encoded, Poster(self._board, split, encoded))
        parcel = self._labelled(parcel, encoded, done, lethal)
        if self._to_check and len(encoded):
            parcel = parcel.with_head(agreement=self._check(encoded, parcel))
            self._to_check = False
        self._board.end(split)
        return parcel.took("predict", time.perf_counter() - started)

    def _lethal(self, split: str, past: Past, encoded: Encoded) -> Mapping[int, str]:
        """The rows that no replica survives, with their reasons; raises EngineError."""
        if past.begun < TRIES:
            return past.lethal or {}
        if past.lethal is not None or past.begun >= LIMIT:
            raise EngineError(
                f"split {split!r} killed its replica {past.begun} times, and none of its rows does "
                "so alone; most often memory runs out: lower resources.microbatch_tokens or "
                "resources.replicas and run the same command again"
            )
        lethal = Quarantine(self._recipe).sift(encoded)
        self._board.convict(split, lethal)
        return lethal

    def _labelled(
        self, parcel: Parcel, encoded: Encoded, done: Inferred, lethal: Mapping[int, str]
    ) -> Parcel:
        labels = self._decode(encoded, done, fields_of(parcel))
        good = np.flatnonzero(parcel.rows().good.to_numpy())
        errors = dict(lethal)
        errors |= {int(row): NOT_FINITE for row in np.unique(encoded.rows[~done.finite])}
        found = {int(good[row]): reason for row, reason in errors.items()}
        return (
            parcel.with_cell("encoded", None)
            .with_cell("labels", labels)
            .with_head(
                errors={**parcel.head.errors, **found},
                tokens=int(encoded.lengths.sum()) // encoded.unit,
                rows_repeated=_rows_saved(encoded, done),
                tokens_repeated=int(encoded.lengths[done.repeated].sum()) // encoded.unit,
                padded_tokens=done.padded_tokens,
                replica=self._self_description(),
            )
        )

    def _decode(self, encoded: Encoded, done: Inferred, fields: Fields) -> pa.Table:
        recipe = self._recipe
        if not len(encoded):
            return _nulls(recipe, len(next(iter(fields.values()))))
        return self._task.decode(
            done.outputs, encoded, fields, processor_of(recipe), recipe.facts, recipe.options
        )

    def _check(self, encoded: Encoded, parcel: Parcel) -> Mapping[str, float]:
        """Compare a sample with float32; raises EngineError where it proves too many flips."""
        runtime = self._recipe.runtime
        if runtime.quantized is not None:
            return runtime.quantized.agreement  # compared before it was the run's
        labels = parcel.labels()
        there = np.unique(encoded.rows).astype(np.int64)  # others have no label in either precision
        rows = there[agreement.sample(len(there))]
        some, chosen = agreement.part_of(encoded, rows), pa.array(rows)
        exact = open_inference(self._recipe, precision="float32").run(some)
        fields = {name: column.take(chosen) for name, column in fields_of(parcel).items()}
        reference = self._decode(some, exact, fields)
        ours = labels.take(chosen)
        found = agreement.record(self._task.agrees(ours, reference), ours, reference)
        agreement.enforce(found, runtime.min_agreement, runtime.precision)
        return found

    def _self_description(self) -> dict[str, object]:
        runtime = self._recipe.runtime
        return {
            "engine": runtime.engine,
            "precision": runtime.precision,
            "device": runtime.device,
            "budget": self._inference.budget,
            "packs": self._inference.packs,
        }


def allow_loading(lives: Lives) -> None:
    """Raise EngineError for a replica that has died too often of that, or of what nobody sees.

    It may die while it is sent a split, or sends the labels back: it has not begun that, or has
    ended it.
    """
    if lives.loading >= _LOADINGS:
        raise EngineError(
            f"a replica's process died {lives.loading} times while it loaded the model; most often "
            "memory runs out: lower resources.replicas and run the same command again"
        )
    if lives.idle >= _IDLE:
        raise EngineError(
            f"a replica's process died {lives.idle} times, and no split was committed meanwhile; "
            "most often memory runs out where a split is handed over: lower resources.replicas and "
            "run the same command again, or take a new output directory and lower "
            "source.split_rows and source.split_bytes"
        )


def fields_of(parcel: Parcel) -> Fields:
    """The task's fields of the rows that were good when they were tokenized."""
    rows = parcel.rows()
    return {name: column.filter(rows.good) for name, column in rows.fields.items()}


def _rows_saved(encoded: Encoded, done: Inferred) -> int:
    """Rows for which nothing was predicted that had not been predicted for an earlier row."""
    return len(np.unique(encoded.rows)) - len(np.unique(encoded.rows[~done.repeated]))


class Poster:
    """Tells the board how far a split is, now and then.

    In rows: a row has a sequence for each of its windows, or for each label that it is tried with,
    and those of one row are not predicted together.
    """

    def __init__(self, board: Notices, split: str, encoded: Encoded) -> None:
        self._board = board
        self._split = split
        self._rows = len(np.unique(encoded.rows)) / max(len(encoded), 1)  # a sequence
        self._last = time.monotonic()

    def __call__(self, sequences: int, tokens: int) -> None:
        """So many sequences and tokens are predicted by now."""
        now = time.monotonic()
        if now - self._last >= _POST_EVERY:
            self._last = now
            self._board.post(self._split, round(sequences * self._rows), tokens)


def task_schema(recipe: Recipe) -> pa.Schema:
    """The columns that the task adds, without the job's prefix."""
    task: Task = plugins.load_class("labelmill.tasks", recipe.task)()
    return task.schema(recipe.facts, recipe.options)


def _nulls(recipe: Recipe, rows: int) -> pa.Table:
    schema = task_schema(recipe)
    return pa.table([pa.nulls(rows, field.type) for field in schema], schema=schema)
