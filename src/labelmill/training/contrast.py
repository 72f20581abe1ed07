"""Contrast: vectors of texts that belong together are drawn near, all others of a step apart.

For each text, its positive is to be told from the positives and negatives of the whole batch, on
all workers, by the softmax of their cosines times 20: the "multiple negatives ranking" of
sentence-transformers (Henderson et al. 2017, arXiv:1705.00652). What equals the text or its
positive, and the positive of an equal text, is never held against it.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import distributed
from torch.nn import functional

from labelmill.checkpoints import Checkpoint
from labelmill.learning import IGNORED
from labelmill.models.dense import dense_layer
from labelmill.models.pooling import pool
from labelmill.ops.contrasts import NOTHING, ROLES
from labelmill.readouts import Embedding

SCALE = 20.0  # one over the temperature, 0.05
Tensors = Mapping[str, torch.Tensor]


class Contrast:
    """The loss of batches whose texts become vectors as the readout says.

    Dense layers of the checkpoint stay as they are: what is before them learns to be fit for them.
    """

    def __init__(
        self, readout: Embedding, checkpoint: Checkpoint, model: Any, pad_token_id: int
    ) -> None:
        self._readout = readout
        self._pad_token_id = pad_token_id
        self._dense = [dense_layer(checkpoint, folder, "cpu") for folder in readout.dense]
        for layer in self._dense:
            layer.requires_grad_(requires_grad=False)  # type: ignore[attr-defined]  # a module
        for name, weights in model.named_parameters():
            if "pooler." in name:  # nothing reads it, so that it would have no gradient
                weights.requires_grad_(requires_grad=False)

    def total(self, model: Any, inputs: Tensors, accepted: frozenset[str]) -> torch.Tensor:
        """The sum of the losses of this worker's texts; its gradient is that of all workers'."""
        roles = [role for role in ROLES if f"{role}_input_ids" in inputs]
        # What no row of the batch has is not read; other workers may have some.
        there = [role for role in roles if (inputs[f"{role}_id"] != NOTHING).any()]
        batch = self._together(inputs, there)
        lengths = batch["attention_mask"].sum(dim=1).cpu()
        given = {name: values for name, values in batch.items() if name in accepted}
        hidden = model(**given).last_hidden_state
        with torch.autocast(hidden.device.type, enabled=False):
            pooled = pool(hidden.float(), lengths, self._readout.pooling, self._readout.skip)
            for layer in self._dense:
                pooled = layer.to(pooled.device)(pooled)  # type: ignore[attr-defined]
            vectors = functional.normalize(pooled, dim=-1)
        parts = dict(zip(["text", *there], vectors.chunk(1 + len(there)), strict=True))
        nothing = torch.zeros_like(parts["text"])
        names = ["text", *roles]
        return _total(
            tuple(parts.get(name, nothing) for name in names),
            [inputs[f"{name}_id"] for name in names],
        )

    def _together(self, inputs: Tensors, roles: list[str]) -> dict[str, torch.Tensor]:
        """All texts as one batch, so that the model runs once: texts, positives, negatives."""
        names = [
            name.removeprefix("positive_") for name in inputs
            if name.startswith("positive_") and name != "positive_id"
        ]  # fmt: skip
        sides = [
            {name: inputs[name].masked_fill(inputs["attention_mask"] == 0, IGNORED)
             for name in names},
            *({name: inputs[f"{role}_{name}"] for name in names} for role in roles),
        ]  # fmt: skip
        longest = max(side["input_ids"].shape[1] for side in sides)
        made = {}
        for name in names:
            padded = [_padded(side[name], longest) for side in sides]
            made[name] = torch.cat(padded)
        made["attention_mask"] = (made["input_ids"] != IGNORED).long()
        for name in names:
            filler = self._pad_token_id if name == "input_ids" else 0
            made[name] = made[name].masked_fill(made["attention_mask"] == 0, filler)
        return made


def _padded(values: torch.Tensor, length: int) -> torch.Tensor:
    return functional.pad(values, (0, length - values.shape[1]), value=IGNORED)


def _total(parts: tuple[torch.Tensor, ...], numbers: list[torch.Tensor]) -> torch.Tensor:
    """Of vectors [batch, width] of length 1 and the numbers [batch] of texts, positives, negatives.

    Every worker computes the losses of all, and has the gradient of its own vectors in all of them.
    """
    rank, size = _place()
    texts, positives, *negatives = [_gathered(part) for part in parts]
    ids, positive_ids, *negative_ids = [_gathered(part) for part in numbers]
    candidates = torch.cat([positives, *negatives])
    candidate_ids = torch.cat([positive_ids, *negative_ids])
    scores = texts @ candidates.T * SCALE
    own = torch.arange(len(texts), device=scores.device)
    alike = (candidate_ids == positive_ids[:, None]) | (candidate_ids == ids[:, None])
    alike |= candidate_ids == NOTHING
    alike[:, : len(own)] |= ids == ids[:, None]
    alike[own, own] = False
    losses = functional.cross_entropy(
        scores.masked_fill(alike, float("-inf")), own, reduction="none"
    )
    mine = losses.view(size, -1)[rank].sum().detach()
    return losses.sum() - losses.sum().detach() + mine


def _place() -> tuple[int, int]:
    """This worker's number, and how many there are."""
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def _gathered(mine: torch.Tensor) -> torch.Tensor:
    """Those of all workers, in their order; with a gradient for this worker's."""
    rank, size = _place()
    if size == 1:
        return mine
    every = [torch.empty_like(mine) for _ in range(size)]
    distributed.all_gather(every, mine.detach().contiguous())
    every[rank] = mine
    return torch.cat(every)
