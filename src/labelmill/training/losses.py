"""Losses: what a model gives against what it was to give, as a sum and a count.

Sums and counts, because a mean of means is no mean: with batches of unequal size (tokens, workers,
accumulated gradients) only the sum of all losses over the count of all labels is the same however
they were cut. transformers leaves that to each model, and several of its models take a mean that
its Trainer then multiplies by the number of workers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from labelmill.learning import IGNORED, Objective

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """The loss of one objective; `weights` [labels] float32 says how much each label counts.

    `smoothing` is the share of each label that is spread over all of them evenly.
    """

    objective: Objective
    weights: torch.Tensor | None = None
    smoothing: float = 0.0

    def count(self, targets: Tensors) -> torch.Tensor:
        """How many labels the sum is of."""
        if self.objective == "spans":
            return torch.tensor(len(targets["start_positions"]))
        if self.objective == "in_batch_negatives":
            return torch.tensor(len(targets["positive_id"]))
        labels = targets["labels"]
        if self.objective == "next_token":
            labels = labels[..., 1:]
        return (labels != IGNORED).sum()

    def total(self, outputs: Any, targets: Tensors) -> torch.Tensor:
        """The sum of the losses, in float32."""
        match self.objective:
            case "spans":
                return _spans(outputs, targets)
            case "label_sets":
                return self._label_sets(outputs["logits"].float(), targets["labels"])
            case "numbers":
                logits = outputs["logits"].float()
                return functional.mse_loss(logits, targets["labels"], reduction="sum")
            case "next_token":
                return self._classes(outputs["logits"][..., :-1, :], targets["labels"][..., 1:])
            case _:
                return self._classes(outputs["logits"], targets["labels"])

    def _classes(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        flat = logits.reshape(-1, logits.shape[-1]).float()
        weights = None if self.weights is None else self.weights.to(flat.device)
        return functional.cross_entropy(
            flat,
            labels.reshape(-1),
            weight=weights,
            ignore_index=IGNORED,
            reduction="sum",
            label_smoothing=self.smoothing,
        )

    def _label_sets(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        weights = None if self.weights is None else self.weights.to(logits.device)
        return functional.binary_cross_entropy_with_logits(
            logits, labels, pos_weight=weights, reduction="sum"
        )


def _spans(outputs: Any, targets: Tensors) -> torch.Tensor:
    """The mean of the losses of start and end, as transformers has it."""
    total = torch.zeros(())
    for name in ("start", "end"):
        logits = outputs[f"{name}_logits"].float()
        places = targets[f"{name}_positions"]
        total = total.to(logits.device) + functional.cross_entropy(logits, places, reduction="sum")
    return total / 2
