"""Loop: what each worker of a training does, from its model to its last checkpoint."""

import math
import os
from collections.abc import Sequence
from functools import partial, reduce
from pathlib import Path
from typing import Any

import torch
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PreTrainedModel,
    PrinterCallback,
    TrainingArguments,
)

from labelmill.checkpoints import localize
from labelmill.errors import EngineError
from labelmill.learning import Objective
from labelmill.models.quiet import quiet
from labelmill.readouts import Embedding
from labelmill.training import attention, sharding
from labelmill.training.checkpointing import Keep, is_finished, waited, write_predictions
from labelmill.training.collate import Collator
from labelmill.training.contrast import Contrast
from labelmill.training.examples import Layout, StoredExamples
from labelmill.training.labelling import Labelling
from labelmill.training.losses import Loss
from labelmill.training.measuring import LOWEST, METRICS, measure
from labelmill.training.model import load
from labelmill.training.recipe import TrainRecipe
from labelmill.training.seat import Seat
from labelmill.training.trainer import TaskTrainer
from labelmill.training.watching import Watch

_MULTIPLE = 8  # lengths that GPUs multiply fast in half precision


def train(recipe: TrainRecipe, seat: Seat) -> bool:
    """Train from the last checkpoint on; whether it came to its end, and was not stopped.

    Raises EngineError where the device has no room, ModelError where the checkpoint does not fit.
    """
    with quiet():  # new weights are meant to be new, and progress is ours
        watch, resume = Watch(seat), seat.resume()
        trainer = _trainer(recipe, seat, watch, resume)
        if resume is not None and is_finished(resume, _steps(trainer), recipe.patience):
            return True
        try:
            trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
        except torch.OutOfMemoryError as error:
            raise EngineError(
                f"the device has no room for {recipe.arguments['per_device_train_batch_size']} "
                "rows of a step; lower training.per_device_train_batch_size (and raise "
                "training.gradient_accumulation_steps), or set training.gradient_checkpointing"
            ) from error
    return not watch.stopped


def _trainer(recipe: TrainRecipe, seat: Seat, watch: Watch, resume: Path | None) -> TaskTrainer:
    os.environ["TENSORBOARD_LOGGING_DIR"] = recipe.board
    examples = StoredExamples(Path(recipe.examples))
    back = StoredExamples(Path(recipe.validation)) if recipe.validation else None
    layouts = [examples.layout] if back is None else [examples.layout, back.layout]
    keep = Keep(seat, recipe.metric)
    measured = recipe.objective in METRICS
    model = load(recipe.model)
    if recipe.arguments["use_cpu"] and examples.layout.inputs:
        attention.choose(model, longest=int(examples.lengths.max()))
    if recipe.arguments.get("fsdp"):
        sharding.prepare(model)
    trainer = TaskTrainer(
        loss=_loss(recipe),
        contrast=_contrast(recipe, model),
        measure=Labelling(recipe, keep) if recipe.gold else None,
        grouped=recipe.grouped,
        shuffled=recipe.shuffled,
        model=model,
        args=_arguments(recipe, seat, layouts, model),
        data_collator=_collator(recipe, reduce(Layout.beside, layouts)),
        train_dataset=examples,
        eval_dataset=back,
        compute_metrics=_Metrics(keep, recipe.objective, recipe.facts.labels) if measured else None,
        callbacks=[watch],
    )
    trainer.remove_callback(PrinterCallback)
    if recipe.patience is not None:
        trainer.add_callback(_patience(recipe.patience, resume))
    trainer.add_callback(keep)  # last, so that it keeps what the others have said
    return trainer


def _patience(most: int, resume: Path | None) -> EarlyStoppingCallback:
    """Goes on counting where the checkpoint stopped; transformers begins at 0 again."""
    patience = EarlyStoppingCallback(early_stopping_patience=most)
    if resume is not None:
        patience.early_stopping_patience_counter = waited(resume)
    return patience


def _arguments(
    recipe: TrainRecipe, seat: Seat, layouts: Sequence[Layout], model: PreTrainedModel
) -> TrainingArguments:
    measured = recipe.validation is not None
    chosen = dict(recipe.arguments)
    if measured and chosen.get("lr_scheduler_type") == "reduce_lr_on_plateau":
        mode = "min" if recipe.metric in LOWEST else "max"
        chosen["lr_scheduler_kwargs"] = {"mode": mode, **(chosen.get("lr_scheduler_kwargs") or {})}
    if chosen.get("fsdp"):
        chosen["fsdp_config"] = sharding.config_for(model, chosen.get("fsdp_config"))
    return TrainingArguments(
        output_dir=str(seat.scratch),
        # What a batch lacks of them makes transformers take it for one without a loss.
        label_names=[
            name for name in layouts[0].targets if all(name in one.targets for one in layouts)
        ],
        metric_for_best_model=recipe.metric if measured else None,
        greater_is_better=recipe.metric not in LOWEST if measured else None,
        prediction_loss_only=recipe.objective not in METRICS,
        **chosen,
    )


def _loss(recipe: TrainRecipe) -> Loss:
    weights = torch.tensor(recipe.weights, dtype=torch.float32) if recipe.weights else None
    smoothing = float(recipe.arguments.get("label_smoothing_factor", 0.0))
    return Loss(objective=recipe.objective, weights=weights, smoothing=smoothing)


def _contrast(recipe: TrainRecipe, model: PreTrainedModel) -> Contrast | None:
    if not isinstance(recipe.readout, Embedding):
        return None
    checkpoint = localize(recipe.model.checkpoint)
    return Contrast(recipe.readout, checkpoint, model, recipe.facts.pad_token_id)


def _collator(recipe: TrainRecipe, layout: Layout) -> Collator:
    half = not recipe.arguments["use_cpu"] and recipe.arguments["bf16"]
    return Collator(
        layout=layout,
        pad_token_id=recipe.facts.pad_token_id,
        multiple=_MULTIPLE if half and layout.maskable else 1,
        shortest=recipe.facts.sound.span if recipe.facts.sound else 1,
    )


def _steps(trainer: TaskTrainer) -> int:
    """Steps of the whole training, as the trainer counts them."""
    args = trainer.args
    if args.max_steps > 0:
        return int(args.max_steps)
    return math.ceil(args.num_train_epochs * trainer.order().steps)


class _Metrics:
    """Measures an evaluation, and remembers what it saw for the checkpoint."""

    def __init__(self, keep: Keep, objective: Objective, names: tuple[str, ...]) -> None:
        self._keep = keep
        self._objective = objective
        self._names = names

    def __call__(self, seen: EvalPrediction) -> dict[str, float]:
        self._keep.seen = partial(write_predictions, seen)
        logits: Any = seen.predictions
        labels: Any = seen.label_ids
        return measure(self._objective, logits, labels, self._names)
