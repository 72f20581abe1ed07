"""Models and documents for the measurements on a GPU: shapes of known models, random in content.

Weights are drawn from the config and documents are random ids: speed does not depend on either, and
nothing is downloaded.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers

from benchmarks import flops
from labelmill.batch import Encoded

LIMIT = 512  # tokens a document is cut to
_MEDIAN, _CUT = 350, 1 / 3  # of the mix: its median length, and the share that is cut
_QUANTILE = 0.4307  # of the standard normal distribution at 1 - _CUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The size of an encoder."""

    name: str
    config: str  # class of transformers
    auto_class: str
    layers: int
    width: int
    inner: int
    heads: int
    settings: tuple[tuple[str, Any], ...] = ()

    def flops(self, lengths: np.ndarray) -> float:
        """Of the matrix products over documents of these lengths, without padding."""
        return flops.of_encoder(self.layers, self.width, self.inner, lengths)


BERT = Shape(
    name="BERT-base",
    config="BertConfig",
    auto_class="AutoModelForSequenceClassification",
    layers=12,
    width=768,
    inner=3072,
    heads=12,
)
MINILM = Shape(
    name="MiniLM-L6",
    config="BertConfig",
    auto_class="AutoModel",
    layers=6,
    width=384,
    inner=1536,
    heads=12,
)
DEBERTA = Shape(
    name="DeBERTa-v3-base",
    config="DebertaV2Config",
    auto_class="AutoModelForSequenceClassification",
    layers=12,
    width=768,
    inner=3072,
    heads=12,
    settings=(
        ("relative_attention", True),
        ("position_buckets", 256),
        ("norm_rel_ebd", "layer_norm"),
        ("share_att_key", True),
        ("pos_att_type", ["p2c", "c2p"]),
        ("position_biased_input", False),
        ("type_vocab_size", 0),
        ("max_relative_positions", -1),
    ),
)


def smaller(shape: Shape) -> Shape:
    """The same kind of model in no size at all, to try a script with."""
    return Shape(
        name=shape.name,
        config=shape.config,
        auto_class=shape.auto_class,
        layers=2,
        width=32,
        inner=64,
        heads=4,
        settings=shape.settings,
    )


def module_of(shape: Shape, device: str, dtype: torch.dtype, seed: int = 0) -> Any:
    """A model with random weights, ready to predict; equal for equal seeds on one device."""
    config = getattr(transformers, shape.config)(
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner,
        vocab_size=30_522,
        initializer_range=0.05,  # large enough that labels differ between documents
        **dict(shape.settings),
    )
    torch.manual_seed(seed)
    with torch.device(device):
        model = getattr(transformers, shape.auto_class).from_config(config)
    return model.to(dtype).to(device).eval()


def mixed(documents: int, seed: int = 0) -> np.ndarray:
    """Lengths as of web pages: lognormal, cut at LIMIT."""
    spread = np.log(LIMIT / _MEDIAN) / _QUANTILE
    drawn = np.random.default_rng(seed).lognormal(np.log(_MEDIAN), spread, documents)
    return np.clip(drawn, 8, LIMIT).astype(np.int32)


def documents_of(lengths: np.ndarray, seed: int = 0) -> Encoded:
    """Documents of random ids."""
    chance = np.random.default_rng(seed)
    ids = chance.integers(1000, 30_000, int(lengths.sum())).astype(np.int32)
    return Encoded(
        rows=np.arange(len(lengths), dtype=np.int32),
        lengths=lengths.astype(np.int32),
        inputs={"input_ids": ids},
    )
