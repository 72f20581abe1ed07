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
        return {name: Pieces(model.tokens(outputs[name], lengths), lengths) for name in names}

    if not isinstance(readout, Logits):
        return ragged
    model.read_first()
    return whole
