"""Disentangled attention: that of DeBERTa v2 and v3, with no gathers by distance.

A pair of tokens has scores of content with position: the query with a vector of the key's distance,
the key with one of the query's. transformers multiplies with the vectors of all buckets of
distances, and gathers each pair's out of that: [heads, length, length], twice a layer. Here the
vectors are put in order of distance first, 2 * length of them. Then the scores of one token lie
side by side, a place further left than those of the token before, and a view of the product is
what the gathers give (the skewing of Huang et al. 2018, Music Transformer, section 3.4.1).

Packed sequences have an attention of their own (`packed_relative`), with the same weights.

It is for predicting: it drops nothing out. The scores are those of transformers, but for rounding.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from typing_extensions import override

from labelmill.models.packed_relative import Row, Sequences, attended

_MODEL_TYPE = "deberta-v2"  # v3, too

Buckets = Callable[[torch.Tensor], torch.Tensor]  # distances -> where their vectors are


def without_gathers(model: Any) -> None:
    """Put this attention in the place of transformers', where the model has that."""
    if model.config.model_type != _MODEL_TYPE:
        return
    # Not above: no other model needs it.
    from transformers.models.deberta_v2 import modeling_deberta_v2  # noqa: PLC0415

    theirs: Any = modeling_deberta_v2
    for encoder in model.modules():
        # Not a checkpoint's own code, which may mean something else.
        if type(encoder) is theirs.DebertaV2Encoder and encoder.relative_attention:
            _replace(encoder, theirs.make_log_bucket_position)


def _replace(encoder: Any, bucket_of: Callable[..., torch.Tensor]) -> None:
    buckets = _buckets(encoder.layer[0].attention.self, bucket_of)
    sequences = Sequences(lambda distances: buckets(distances).int())
    with torch.no_grad():
        vectors = encoder.get_rel_embedding()
        for layer in encoder.layer:
            inner = layer.attention.self
            layer.attention.self = _Attention(inner, vectors, buckets, sequences)
    # Of [length, length], for what is replaced.
    encoder.get_rel_pos = _no_distances
    encoder.get_attention_mask = _mask_of_keys


def _no_distances(*_: Any, **__: Any) -> None:
    return None


def _mask_of_keys(mask: torch.Tensor) -> torch.Tensor:
    """[batch, length] -> [batch, 1, 1, length]: what tokens of padding attend to is of no use."""
    return mask[:, None, None]


def sequences_of(model: Any) -> Sequences | None:
    """To tell the model's attentions by; None where it cannot be packed, or is not ours."""
    encoder = getattr(model.base_model, "encoder", None)
    if getattr(encoder, "conv", None) is not None:  # it would mix neighbours of two sequences
        return None
    ours = (inner for inner in model.base_model.modules() if isinstance(inner, _Attention))
    return next((attention.sequences for attention in ours), None)


def _buckets(inner: Any, bucket_of: Callable[..., torch.Tensor]) -> Buckets:
    span: int = inner.pos_ebd_size
    number, most = inner.position_buckets, inner.max_relative_positions

    def buckets(distances: torch.Tensor) -> torch.Tensor:
        if number > 0 and most > 0:
            distances = bucket_of(distances, number, most).long()
        return (distances + span).clamp(0, 2 * span - 1)

    return buckets


class _Attention(nn.Module):
    """Its weights are those of transformers' DisentangledSelfAttention that it is made of."""

    def __init__(
        self, inner: Any, vectors: torch.Tensor, buckets: Buckets, sequences: Sequences
    ) -> None:
        """`vectors` [2 * span or more, width]: one a bucket, on the device of the model."""
        super().__init__()
        self.sequences = sequences
        self.query_proj = inner.query_proj
        self.key_proj = inner.key_proj
        self.value_proj = inner.value_proj
        self._heads = inner.num_attention_heads
        kinds = {"c2p", "p2c"}.intersection(inner.pos_att_type)
        self._scale = 1 / math.sqrt(inner.attention_head_size * (1 + len(kinds)))
        vectors = vectors[None, : 2 * inner.pos_ebd_size]
        self.to_keys: _Distances | None = None
        if "c2p" in kinds:
            project = inner.key_proj if inner.share_att_key else inner.pos_key_proj
            self.to_keys = _Distances(self._by_head(project(vectors))[0], buckets)
        self.to_queries: _Distances | None = None
        if "p2c" in kinds:
            project = inner.query_proj if inner.share_att_key else inner.pos_query_proj
            positions = self._by_head(project(vectors))[0] * self._scale
            # Of keys to queries it is the same distance the other way.
            self.to_queries = _Distances(positions, lambda distances: buckets(-distances))

    def _by_head(self, values: torch.Tensor) -> torch.Tensor:
        """[batch, length, width] -> [batch, heads, length, size]."""
        return values.view(*values.shape[:2], self._heads, -1).transpose(1, 2)

    @override
    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, None]:
        """[batch, length, width], and a mask [batch, 1, 1, length] -> [batch, length, width].

        The rest of what transformers gives is what it gathers by, and no attention is given out.
        """
        if self.sequences.row is not None:
            return self._packed(hidden_states, self.sequences.row), None
        query = self._by_head(self.query_proj(hidden_states)) * self._scale
        key = self._by_head(self.key_proj(hidden_states))
        scores = query @ key.transpose(-1, -2)
        if self.to_keys is not None:
            scores = scores + self.to_keys(query)
        if self.to_queries is not None:
            scores = scores + self.to_queries(key).transpose(-1, -2)
        scores = scores.masked_fill(~attention_mask.bool(), torch.finfo(scores.dtype).min)
        found = scores.softmax(-1) @ self._by_head(self.value_proj(hidden_states))
        return found.transpose(1, 2).flatten(-2), None

    def _packed(self, hidden: torch.Tensor, row: Row) -> torch.Tensor:
        """[1, tokens, width], and the same back."""
        query, key, value = (
            project(hidden)[0].unflatten(-1, (self._heads, -1))
            for project in (self.query_proj, self.key_proj, self.value_proj)
        )
        positions = (
            None if distances is None else distances.positions
            for distances in (self.to_keys, self.to_queries)
        )
        found: torch.Tensor = attended(
            query * self._scale, key, value, *positions, row.by_distance, row.bounds, row.longest
        )
        return found.flatten(-2)[None]


class _Distances(nn.Module):
    """The scores of tokens with the positions of all tokens."""

    def __init__(self, positions: torch.Tensor, buckets: Buckets) -> None:
        """`positions` [heads, 2 * span, size]."""
        super().__init__()
        self.positions: torch.Tensor
        self.register_buffer("positions", positions.contiguous(), persistent=False)
        self._buckets = buckets

    @override
    def forward(self, content: torch.Tensor) -> torch.Tensor:
        """[batch, heads, length, size] -> [batch, heads, length, length]."""
        batch, heads, length, _ = content.shape
        # One more than there are, so that rows of scores are longer by one than those read below.
        distances = torch.arange(length - 1, -length - 1, -1, device=content.device)
        ordered = self.positions[:, self._buckets(distances)]
        scores = content @ ordered.transpose(-1, -2)
        # A token's scores begin one place sooner than those of the token before.
        row = 2 * length - 1
        rows = scores.flatten(-2)[..., length - 1 : length - 1 + length * row]
        return rows.view(batch, heads, length, row)[..., :length]
