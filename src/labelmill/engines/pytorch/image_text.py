"""Image and text: how well each image fits each text, for models that embed the two side by side.

CLIP, SigLIP and their kin: the cosine of two embeddings, scaled, and shifted where the model has a
bias. The texts are the same for every image, so they are embedded once, when the model is loaded.
"""

from collections.abc import Iterator
from typing import Any

import torch

from labelmill.checkpoints import Checkpoint
from labelmill.engines.pytorch.reading import Model, Read, Reader, Tensors
from labelmill.errors import ModelError
from labelmill.readouts import ImageText

_TEXTS_AT_ONCE = 64
_NEEDED = ("get_text_features", "get_image_features", "logit_scale")


def reader(readout: ImageText, model: Model, checkpoint: Checkpoint) -> Reader:
    """See the readout; raises ModelError for a model that compares the two in another way."""
    module = model.module
    missing = [name for name in _NEEDED if not hasattr(module, name)]
    if missing:
        raise ModelError(
            f"model {checkpoint.source!r} is a {type(module).__name__!r} without {missing[0]!r}, "
            "expected one that scales the cosine of image and text, such as CLIP or SigLIP"
        )
    texts = torch.cat([*_features_of_texts(readout, model)])
    scale = module.logit_scale.float().exp()
    bias = module.logit_bias.float() if hasattr(module, "logit_bias") else 0.0

    def read(inputs: Tensors, lengths: torch.Tensor) -> Read:
        del lengths
        seen = {name: values for name, values in inputs.items() if name in model.accepts}
        images = _normalized(module.get_image_features(**seen))
        # In float32: a logit is near 30, where numbers of bfloat16 are an eighth apart.
        return {"logits": images @ texts.T * scale + bias}

    return read


def _features_of_texts(readout: ImageText, model: Model) -> Iterator[torch.Tensor]:
    """[texts, dimensions] piece by piece."""
    for start in range(0, len(readout.texts), _TEXTS_AT_ONCE):
        piece = slice(start, start + _TEXTS_AT_ONCE)
        inputs = {"input_ids": torch.tensor(readout.texts[piece], device=model.device)}
        if readout.masks:
            inputs["attention_mask"] = torch.tensor(readout.masks[piece], device=model.device)
        yield _normalized(model.module.get_text_features(**inputs))


def _normalized(outputs: Any) -> torch.Tensor:
    """[batch, dimensions] float32, of length 1 each."""
    features: torch.Tensor = outputs.pooler_output
    return torch.nn.functional.normalize(features.float(), dim=-1)
