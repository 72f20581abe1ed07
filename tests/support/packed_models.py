"""Tiny models of the types that are packed, and of some that are not; in memory."""

from typing import Any

import torch
import transformers

from tests.support.models import ARCHITECTURES as RECIPES
from tests.support.models import enlarge

ARCHITECTURES = (
    "bert",
    "roberta",
    "xlm-roberta",
    "camembert",
    "deberta-v2",
    "electra",
    "distilbert",
    "modernbert",
)
PADDING = 1
DISENTANGLED = {  # kinds of DeBERTa v2
    "small buckets": {},
    "as published": {"share_att_key": True, "norm_rel_ebd": "layer_norm", "position_buckets": 256},
    "content to position": {"pos_att_type": ["c2p"]},
    "position to content": {"pos_att_type": ["p2c"], "share_att_key": True},
    "content alone": {"pos_att_type": []},
    "far is as far as eight": {"position_buckets": -1, "max_relative_positions": 8},
    "convolution": {"conv_kernel_size": 3},
}
_VOCABULARY = 100
_POSITIONS = 64 + PADDING + 1


def tiny_module(architecture: str, auto_class: str, *, seed: int = 0, **settings: Any) -> Any:
    """A model with random weights, the same for the same seed, ready to predict."""
    name, changes, _, _ = RECIPES[architecture]
    config = getattr(transformers, name)(
        vocab_size=_VOCABULARY,
        max_position_embeddings=_POSITIONS,
        pad_token_id=PADDING,
        **{**changes, **settings},
    )
    torch.manual_seed(seed)
    model = getattr(transformers, auto_class).from_config(config)
    enlarge(model)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "rel_embeddings" in parameter_name:
                parameter.normal_()  # else distances count for nothing
    return model.eval()
