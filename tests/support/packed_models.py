"""Tiny models of the types that are packed, and of some that are not; in memory."""

from typing import Any

import torch
import transformers

from tests.support.models import ARCHITECTURES as RECIPES
from tests.support.models import enlarge

_SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
_EURO = {"num_key_value_heads": 4, "bos_token_id": 0, "eos_token_id": 2, "mask_token_id": 4}
# Of those that no contract test names: the class of the config, and its settings.
_MORE: dict[str, tuple[str, dict[str, Any]]] = {
    "data2vec-text": ("Data2VecTextConfig", {**_SMALL, "type_vocab_size": 1}),
    "ernie": ("ErnieConfig", _SMALL),
    "eurobert": ("EuroBertConfig", {**_SMALL, **_EURO, "classifier_pooling": "mean"}),
    "jina_embeddings_v3": ("JinaEmbeddingsV3Config", _SMALL),
    "nomic_bert": ("NomicBertConfig", _SMALL),
    "roberta-prelayernorm": ("RobertaPreLayerNormConfig", {**_SMALL, "type_vocab_size": 1}),
    "xlm-roberta-xl": ("XLMRobertaXLConfig", {**_SMALL, "type_vocab_size": 1}),
}
ARCHITECTURES = (
    *("albert", "bert", "camembert", "deberta-v2", "distilbert", "electra", "modernbert"),
    *("mpnet", "roberta", "xlm-roberta", *_MORE),
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
    name, changes = _MORE[architecture] if architecture in _MORE else RECIPES[architecture][:2]
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
            if "rel_embeddings" in parameter_name or "relative_attention_bias" in parameter_name:
                parameter.normal_()  # else distances count for nothing
    return model.eval()
