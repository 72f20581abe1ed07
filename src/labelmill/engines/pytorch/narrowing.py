"""Narrowing: of BERT and its like, the last layer for the first token of each sequence alone.

A head that reads the first token throws the others away. Behind its attention the last layer works
on each token by itself, so it may as well have the first alone: of six layers that saves an eighth
of the work. Other models are left as they are. The same for graphs: `engines.openvino.narrowing`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

# Of model types: what takes each token for itself from there on, in a layer.
_BEHIND: Mapping[str, str] = {
    "bert": "attention.output",
    "camembert": "attention.output",
    "data2vec-text": "attention.output",
    "deberta-v2": "attention.output",
    "distilbert": "sa_layer_norm",
    "electra": "attention.output",
    "ernie": "attention.output",
    "mpnet": "attention.LayerNorm",
    "roberta": "attention.output",
    "roberta-prelayernorm": "attention.output",
    "xlm-roberta": "attention.output",
    "xlm-roberta-xl": "attention.output",
}

First = Callable[[torch.Tensor], torch.Tensor]


def narrow(module: Any, first: First) -> bool:
    """Put `first` (all tokens -> what is kept of them) behind the last attention, if it is known.

    `first` gets vectors of every token as they lie in the model, [..., tokens, width].
    """
    config = module.config
    if config.model_type not in _BEHIND or getattr(config, "is_decoder", False):
        return False
    base = module.base_model
    encoder = base.transformer if config.model_type == "distilbert" else base.encoder
    # A convolution of DeBERTa's follows its first layer, and takes all tokens.
    if len(encoder.layer) == 1 and getattr(encoder, "conv", None) is not None:
        return False
    behind = encoder.layer[-1].get_submodule(_BEHIND[config.model_type])
    behind.register_forward_pre_hook(lambda _, given: tuple(map(first, given)))
    return True
