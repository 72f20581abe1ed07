"""FrameTokens: what a CTC model hears in each frame of a sound."""

import torch

from labelmill.checkpoints import Checkpoint
from labelmill.engines.pytorch.reading import Model, Pieces, Read, Reader, Tensors
from labelmill.errors import ModelError
from labelmill.readouts import FrameTokens


def reader(readout: FrameTokens, model: Model, checkpoint: Checkpoint) -> Reader:
    """See the readout; raises ModelError for a model that makes no frames of samples."""
    del readout
    # Private, and the only place that knows of adapters behind the convolutions.
    frames = getattr(model.module, "_get_feat_extract_output_lengths", None)
    if frames is None:
        raise ModelError(
            f"model {checkpoint.source!r} is a {type(model.module).__name__!r}, which does not say "
            "how many frames it makes of a sound; expected one of the wav2vec2 family"
        )

    def likeliest(inputs: Tensors, lengths: torch.Tensor) -> Read:
        logits, ids = model(inputs).logits.max(dim=-1)
        own = frames(lengths).clamp(max=ids.shape[1])
        kept = (torch.arange(ids.shape[1]) < own[:, None]).to(ids.device)
        return {"ids": Pieces(ids[kept], own), "logit": Pieces(logits[kept], own)}

    return likeliest
