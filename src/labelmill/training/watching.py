"""Watching: what is told of a training while it runs, and the wish to stop it."""

import time
from typing import Any

import torch
from torch import distributed
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy
from typing_extensions import override

from labelmill.training.seat import Seat, Standing

EVERY = 0.5  # seconds
_ASK = 10  # steps between two questions to all workers whether to stop
_EPOCH = IntervalStrategy.EPOCH
_WITHOUT_EPOCHS = {SaveStrategy.NO, SaveStrategy.STEPS}


class Watch(TrainerCallback):
    """Tells the seat how far the training is, and stops it with a checkpoint where it is to."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._stop = False
        self._stopping = False  # all have agreed
        self.stopped = False
        self._begun = self._told = 0.0
        self._first = 0
        self._logs: dict[str, float] = {}

    @override
    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._begun, self._first = time.monotonic(), state.global_step

    @override
    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        self._logs |= logs or {}

    @override
    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        now = time.monotonic()
        if state.is_world_process_zero and now - self._told >= EVERY:
            self._told = now
            self._stop = self._seat.show(self._standing(args, state, now - self._begun))
        if self._agreed(args, state) and state.global_step < state.max_steps:
            self._stopping = True
            # An epoch that ends here is measured and kept as if nobody had wished anything.
            if not (_ends_an_epoch(state) and _EPOCH in (args.eval_strategy, args.save_strategy)):
                self.stopped = control.should_save = control.should_training_stop = True
        if _ends(args, state):
            # The result is made of a checkpoint; what is measured now is to be in it.
            control.should_save = args.eval_strategy != _EPOCH

    @override
    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.stopped:  # in the middle of an epoch: its checkpoint is kept already
            control.should_save = control.should_evaluate = False
        elif _ends(args, state):
            control.should_save = args.eval_strategy == _EPOCH
        elif self._stopping:
            self.stopped = control.should_save = control.should_training_stop = True

    def _agreed(self, args: TrainingArguments, state: TrainerState) -> bool:
        """The first worker's wish, at a step where all workers ask for it."""
        if args.world_size == 1:
            return self._stop
        if state.global_step % _ASK:
            return False
        wish = torch.tensor(float(self._stop), device=args.device)
        distributed.all_reduce(wish, distributed.ReduceOp.MAX)
        return bool(wish)

    def _standing(self, args: TrainingArguments, state: TrainerState, seconds: float) -> Standing:
        done = state.global_step - self._first
        step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        metrics = {
            name.removeprefix("eval_"): value
            for name, value in self._logs.items()
            if name.startswith("eval_") and isinstance(value, float)
        }
        return Standing(
            step=state.global_step,
            steps=state.max_steps,
            epoch=float(state.epoch or 0),
            examples_per_second=done * step / seconds if seconds else 0.0,
            seconds_left=(state.max_steps - state.global_step) * seconds / done if done else None,
            loss=self._logs.get("loss"),
            learning_rate=self._logs.get("learning_rate"),
            metrics=metrics or None,
        )


def _ends(args: TrainingArguments, state: TrainerState) -> bool:
    """Whether the training ends here, and is not saved at the end of its epoch in any case."""
    return state.global_step >= state.max_steps and args.save_strategy in _WITHOUT_EPOCHS


def _ends_an_epoch(state: TrainerState) -> bool:
    epoch = float(state.epoch or 0)
    return abs(epoch - round(epoch)) < 1e-9
