"""Checkpointing: a checkpoint is kept when every worker has written its part of it.

transformers lets the other workers go on while the first still writes, so that what they copy may
be half a file. Here all of them wait, and the whole of it is kept or none.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from torch import distributed
from transformers import (
    EvalPrediction,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from typing_extensions import override

from labelmill.training.measuring import LOWEST
from labelmill.training.seat import Seat

STATE = "trainer_state.json"
PREDICTIONS = "validation.npz"  # logits, and what was to be learned
ANSWERS = "validation.arrow"  # answers in words, and what would be right
_GOLD = "gold"


class Keep(TrainerCallback):
    """Hands whole checkpoints to the seat, with the metric by which they are compared."""

    def __init__(self, seat: Seat, metric: str) -> None:
        self._seat = seat
        self._metric = metric
        # Writes what the last evaluation saw into a directory, for `judging`.
        self.seen: Callable[[Path], None] | None = None
        self._score: tuple[int, float] | None = None  # step and metric of the last evaluation

    @override
    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        value = (metrics or {}).get(f"eval_{self._metric}")
        if value is not None:
            self._score = (state.global_step, -value if self._metric in LOWEST else value)

    @override
    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        directory = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        measured = self._score is not None and self._score[0] == state.global_step
        if state.is_world_process_zero and measured and self.seen is not None:
            self.seen(directory)
        if args.world_size > 1:
            distributed.barrier()
        self._seat.keep(directory, self._score[1] if self._score and measured else None)
        if args.world_size > 1:
            distributed.barrier()
        if state.is_local_process_zero:
            shutil.rmtree(directory, ignore_errors=True)


def is_finished(checkpoint: Path, steps: int, patience: int | None) -> bool:
    """Whether the training was over at this checkpoint: all steps done, or patience at an end."""
    done = _state(checkpoint)["global_step"] >= steps
    return bool(done or (patience is not None and waited(checkpoint) >= patience))


def waited(checkpoint: Path) -> int:
    """Evaluations in a row, up to this checkpoint, that were no better than the best before."""
    stopping = _state(checkpoint).get("stateful_callbacks", {}).get("EarlyStoppingCallback", {})
    return int(stopping.get("attributes", {}).get("early_stopping_patience_counter", 0))


def _state(checkpoint: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((checkpoint / STATE).read_text("utf-8"))
    return told


def write_predictions(seen: EvalPrediction, directory: Path) -> None:
    """Keep logits and labels, where each is one array."""
    if isinstance(seen.predictions, np.ndarray) and isinstance(seen.label_ids, np.ndarray):
        np.savez(directory / PREDICTIONS, logits=seen.predictions, labels=seen.label_ids)


def write_answers(answers: pa.Table, gold: pa.Array, directory: Path) -> None:
    """Keep the columns of answers, and what is right for each row."""
    table = answers.append_column(_GOLD, gold)
    with pa.ipc.new_file(str(directory / ANSWERS), table.schema) as sink:
        sink.write_table(table)


def read_answers(path: Path) -> tuple[pa.Table, pa.Array]:
    """What `write_answers` kept."""
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    return table.drop_columns([_GOLD]), table[_GOLD].combine_chunks()
