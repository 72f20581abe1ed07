"""Masked tokens: the likeliest tokens at each mask; no other logits leave the device.

The head of a masked language model multiplies each hidden state with the whole vocabulary: for 250
thousand tokens that is most of the work and of the memory. So the encoder's output is cut down to
the masks before the head sees it, wherever a trial at loading shows that the model's logits stay as
they are; else logits are made for every token and cut down then.
"""

from typing import Any

import torch

from labelmill.checkpoints import Checkpoint
from labelmill.engines.pytorch.reading import Model, Pieces, Read, Reader, Tensors
from labelmill.readouts import MaskedTokens

_TRIAL = (7, 4)  # tokens of the sequences that are tried
_TOLERANCE = 0.02  # of the largest logit: half precision's sums depend on shapes


def reader(readout: MaskedTokens, model: Model, checkpoint: Checkpoint) -> Reader:
    """See the readout."""
    del checkpoint
    early = _Early(model)
    logits_at = early if early.fits(readout.mask_token_id) else _late(model)
    targets = torch.tensor(readout.targets, dtype=torch.int64, device=model.device)

    def read(inputs: Tensors, lengths: torch.Tensor) -> Read:
        del lengths
        masks = inputs["input_ids"] == readout.mask_token_id
        scores = logits_at(inputs, masks).float().softmax(dim=-1)
        if len(targets):
            scores = scores[:, targets]
        best, places = scores.topk(min(readout.count, scores.shape[-1]))
        counts = masks.sum(dim=1)
        return {
            "ids": Pieces(targets[places] if len(targets) else places, counts),
            "scores": Pieces(best, counts),
        }

    return read


def _late(model: Model) -> Any:
    return lambda inputs, masks: model(inputs).logits[masks]


class _Early:
    """The model with only the hidden states of masks going into its head."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._masks: torch.Tensor | None = None
        base = model.module.base_model
        if base is not model.module:
            base.register_forward_hook(self._cut_down)

    def __call__(self, inputs: Tensors, masks: torch.Tensor) -> torch.Tensor:
        """[masks, vocabulary] logits."""
        self._masks = masks
        try:
            logits: torch.Tensor = self._model(inputs).logits
        finally:
            self._masks = None
        return logits[0]

    def fits(self, mask_token_id: int) -> bool:
        """Whether logits are the same as without; tried with every other token a mask."""
        if self._model.module.base_model is self._model.module:
            return False
        inputs = _trial(mask_token_id, self._model.device)
        masks = inputs["input_ids"] == mask_token_id
        whole = self._model(inputs).logits[masks]
        try:
            early = self(inputs, masks)
        except (RuntimeError, ValueError, IndexError, TypeError):
            return False
        if early.shape != whole.shape:
            return False
        return bool((early - whole).abs().max() <= _TOLERANCE * whole.abs().max())

    def _cut_down(self, module: Any, given: Any, output: Any) -> Any:
        del module, given
        if self._masks is not None:
            # [batch, length, hidden] -> [1, masks, hidden]
            output["last_hidden_state"] = output["last_hidden_state"][self._masks][None]
        return output


def _trial(mask_token_id: int, device: str) -> Tensors:
    longest = max(_TRIAL)
    places = torch.arange(longest)
    attended = (places < torch.tensor(_TRIAL)[:, None]).long()
    other = 0 if mask_token_id else 1
    ids = torch.where(places % 2 == 1, mask_token_id, other).expand(len(_TRIAL), -1)
    return {
        "input_ids": torch.where(attended == 1, ids, other).to(device),
        "attention_mask": attended.to(device),
    }
