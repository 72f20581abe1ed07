"""Logits: one vector a sequence, or one a token, as the model's head gives them."""

import torch

from labelmill.checkpoints import Checkpoint
from labelmill.engines.pytorch.reading import Model, Pieces, Read, Reader, Tensors
from labelmill.readouts import Logits, TokenLogits


def reader(readout: Logits | TokenLogits, model: Model, checkpoint: Checkpoint) -> Reader:
    """See the readouts."""
    del checkpoint
    names = ("logits",) if isinstance(readout, Logits) else readout.names

    def whole(inputs: Tensors, lengths: torch.Tensor) -> Read:
        del lengths
        outputs = model(inputs)
        return {name: outputs[name] for name in names}

    def ragged(inputs: Tensors, lengths: torch.Tensor) -> Read:
        outputs = model(inputs)
        return {name: _unpadded(outputs[name], lengths) for name in names}

    return whole if isinstance(readout, Logits) else ragged


def _unpadded(values: torch.Tensor, lengths: torch.Tensor) -> Pieces:
    """[batch, length, ...] without the padding at the end of each sequence."""
    kept = torch.arange(values.shape[1]) < lengths[:, None]
    return Pieces(values[kept.to(values.device)], lengths)
