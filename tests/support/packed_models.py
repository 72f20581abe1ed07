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
    "electra",
    "distilbert",
    "modernbert",
)
PADDING = 1
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
    return model.eval()
