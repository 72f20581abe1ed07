"""Trainer: transformers' own, with our losses and our order of examples.

What differs from the stock one: the loss of a step is the sum over all workers and accumulated
batches, divided by the count of all its labels (`losses`), and examples come in an order that does
not depend on the number of workers (`order`).
"""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import EvalLoopOutput
from typing_extensions import override

from labelmill.errors import EngineError
from labelmill.training.contrast import Contrast
from labelmill.training.decoder_inputs import decoder_inputs
from labelmill.training.losses import Loss
from labelmill.training.measuring import of_loss
from labelmill.training.order import LongestFirst, Order

Tensors = dict[str, torch.Tensor]
Measure = Callable[[Any], dict[str, float]]  # of a model in evaluation mode, by all workers


class TaskTrainer(Trainer):
    """See the module."""

    def __init__(
        self,
        *,
        loss: Loss,
        contrast: Contrast | None,
        measure: Measure | None,
        grouped: bool,
        shuffled: bool,
        **rest: Any,
    ) -> None:
        super().__init__(**rest)
        self._loss = loss
        self._contrast = contrast
        self._measure = measure
        self._grouped = grouped
        self._shuffled = shuffled
        self._step_loss: torch.Tensor | None = None  # of the last step, on its device
        self._seen = _nothing(self.args.device)
        # Both say that a loss is that of a whole step already, not of one of its batches.
        self.loss_is_scaled_for_ga = True
        self.model_accepts_loss_kwargs = True

    @cached_property
    def _accepted(self) -> frozenset[str]:
        """Inputs that the model takes."""
        return frozenset(inspect.signature(self._module.forward).parameters)

    @property
    def _module(self) -> Any:
        """The model of transformers, in which adapters are, if there are any."""
        module: Any = self.accelerator.unwrap_model(self.model)
        return module.get_base_model() if hasattr(module, "get_base_model") else module

    def order(self) -> Order:
        """In which order examples are learned from."""
        examples: Any = self.train_dataset
        args = self.args
        step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        lengths = examples.lengths if self._grouped else None
        return Order(len(examples), step, args.seed, lengths, shuffled=self._shuffled)

    @override
    def _get_train_sampler(self, train_dataset: Any = None) -> torch.utils.data.Sampler[int]:
        order = self.order()
        self.add_callback(_Epochs(order))
        return order  # type: ignore[return-value]  # all that is asked of a sampler

    @override
    def _get_eval_sampler(self, eval_dataset: Any) -> torch.utils.data.Sampler[int]:
        return LongestFirst(eval_dataset.lengths)  # type: ignore[return-value]  # as above

    @override
    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Remembers the loss, which is not looked at here: that would wait for the device."""
        self._step_loss = super().training_step(*args, **kwargs)
        return self._step_loss

    @override
    def log(self, *args: Any, **kwargs: Any) -> None:
        """Raises EngineError where the training has gone out of all bounds."""
        self._refuse_divergence()
        super().log(*args, **kwargs)

    @override
    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        self._refuse_divergence()
        super()._save_checkpoint(*args, **kwargs)

    def _refuse_divergence(self) -> None:
        """By the last step alone: with fp16 a step may be left out, and the next is fine."""
        if self._step_loss is not None and not torch.isfinite(self._step_loss).all():
            raise _diverged("the loss", self.state.global_step)

    @override
    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """With what else is measured of the model, and the loss of all labels alike.

        transformers' is a mean of the batches' means, which changes with their size, and of what
        several workers take twice, so that all have as many rows.
        """
        self._seen = _nothing(self.args.device)
        seen = super().evaluation_loop(*args, **kwargs)
        prefix = kwargs.get("metric_key_prefix", "eval")
        metrics: dict[str, float] = seen.metrics or {}
        total, count = self.accelerator.reduce(self._seen).tolist()
        metrics[f"{prefix}_loss"] = total / max(count, 1.0)
        if not math.isfinite(metrics[f"{prefix}_loss"]):
            raise _diverged("the loss of the rows kept back", self.state.global_step)
        more = of_loss(self._loss.objective, metrics[f"{prefix}_loss"])
        if self._measure is not None:
            with self.accelerator.autocast():
                more |= self._measure(self._module)
        metrics |= {f"{prefix}_{name}": value for name, value in more.items()}
        return seen._replace(metrics=metrics)

    @override
    def get_batch_samples(
        self, epoch_iterator: Iterator[Tensors], num_batches: int, device: torch.device
    ) -> tuple[list[Tensors], torch.Tensor | None]:
        """The batches of a step, and the count of its labels over all workers."""
        batches = [batch for _, batch in zip(range(num_batches), epoch_iterator, strict=False)]
        count = sum(
            (self._loss.count(batch) for batch in batches), torch.zeros((), dtype=torch.long)
        )
        count = count.to(device)
        if self.args.world_size > 1:
            count = self.accelerator.gather(count).sum()
        return batches, count.clamp(min=1)

    @override
    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: Mapping[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Gradients are averaged over workers, so that a worker's share counts that much more."""
        targets = {name: inputs[name] for name in self.label_names if name in inputs}
        outputs, total = self._total(model, inputs, targets)
        if model.training and num_items_in_batch is not None:
            loss = total * self.accelerator.num_processes / num_items_in_batch
        else:
            loss = self._measured(outputs, targets, total)
        # Of all else that a model gives transformers would make predictions.
        if "logits" in outputs:
            outputs = {"logits": outputs["logits"]}
        return (loss, outputs) if return_outputs else loss

    def _measured(self, outputs: Any, targets: Tensors, total: torch.Tensor) -> torch.Tensor:
        """The mean loss of a batch of an evaluation, which counts."""
        rows = len(next(iter(targets.values())))
        new = self._new_rows(rows)
        if new < rows and self._contrast is None:  # which is of the whole batch
            outputs, targets = (
                {name: one[name][:new] for name in one if isinstance(one[name], torch.Tensor)}
                for one in (outputs, targets)
            )
            total = self._loss.total(outputs, targets)
        count = self._loss.count(targets).to(total.device)
        self._seen += torch.stack([total.detach().double(), count.double()])
        return total / count.clamp(min=1)

    def _new_rows(self, rows: int) -> int:
        """Of a worker's batch; accelerate fills the workers' last ones with rows they have had."""
        state = self.accelerator.gradient_state
        if not state.end_of_dataloader or state.remainder <= 0:
            return rows
        before: int = self.accelerator.process_index * rows
        return min(max(int(state.remainder) - before, 0), rows)

    def _total(
        self, model: torch.nn.Module, inputs: Mapping[str, torch.Tensor], targets: Tensors
    ) -> tuple[Any, torch.Tensor]:
        """What the model gives, and the sum of the losses."""
        if self._contrast is not None:
            return {}, self._contrast.total(model, inputs, self._accepted)
        given = {name: inputs[name] for name in inputs if name in self._accepted - targets.keys()}
        if self._loss.objective == "written":
            given |= decoder_inputs(self.accelerator.unwrap_model(model), targets["labels"])
        outputs = model(**given)
        return outputs, self._loss.total(outputs, targets)


def _nothing(device: torch.device) -> torch.Tensor:
    """Sum and count of losses."""
    return torch.zeros(2, dtype=torch.float64, device=device)


def _diverged(what: str, step: int) -> EngineError:
    return EngineError(
        f"{what} is no finite number any more at step {step:,}, so that nothing more is learned; "
        "lower training.learning_rate, raise training.warmup_steps, or set training.bf16 to false; "
        "where there are checkpoints already, with a new output.path"
    )


class _Epochs(TrainerCallback):
    """Tells the order of the epoch, also where one is gone on with in the middle."""

    def __init__(self, order: Order) -> None:
        self._order = order

    @override
    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._order.set_epoch(int(state.epoch or 0))
