"""Biased attention: that of MPNet, whose scores have a number of each head's own for a distance.

Padded passes stay transformers'. In a packed one the attentions are told where sequences start, and
the bias of all pairs, [heads, tokens, tokens], is not made.
"""

from typing import Any

import torch
from torch import nn
from typing_extensions import override

from labelmill.models.packed_relative import Sequences, attended


def is_biased(model: Any) -> bool:
    """Its encoder is exactly transformers' MPNet, not a checkpoint's own code."""
    # Not above: no other model needs it.
    from transformers.models.mpnet import modeling_mpnet  # noqa: PLC0415

    return type(getattr(model.base_model, "encoder", None)) is modeling_mpnet.MPNetEncoder


def wrap(model: Any) -> Sequences:
    """Put attentions that can be told of packed passes around transformers'; to tell them by."""
    encoder = model.base_model.encoder
    made = encoder.compute_position_bias

    def by_distance(distances: torch.Tensor) -> torch.Tensor:
        # The first query and the first key of transformers' own know every distance.
        of_pairs = made(distances.new_empty(1, len(distances) // 2 + 1, 1))[0]
        return torch.cat([of_pairs[:, 0].flip(-1), of_pairs[:, 1:, 0]], dim=-1)

    sequences = Sequences(by_distance)

    def of_padded(hidden: torch.Tensor, *more: Any, **named: Any) -> torch.Tensor | None:
        bias: torch.Tensor | None = None
        if sequences.row is None:
            bias = made(hidden, *more, **named)
        return bias

    encoder.compute_position_bias = of_padded
    for layer in encoder.layer:
        layer.attention.attn = _Attention(layer.attention.attn, sequences)
    return sequences


class _Attention(nn.Module):
    """Around one of transformers' MPNetSelfAttention, whose weights it has."""

    def __init__(self, inner: Any, sequences: Sequences) -> None:
        super().__init__()
        self.inner = inner
        self._sequences = sequences

    @override
    def forward(self, hidden_states: torch.Tensor, *rest: Any, **named: Any) -> tuple[Any, ...]:
        """Packed: [1, tokens, width], and the same back."""
        row, inner = self._sequences.row, self.inner
        if row is None:
            padded: tuple[Any, ...] = inner(hidden_states, *rest, **named)
            return padded
        query, key, value = (
            project(hidden_states)[0].unflatten(-1, (inner.num_attention_heads, -1))
            for project in (inner.q, inner.k, inner.v)
        )
        query = query * inner.attention_head_size**-0.5
        found = attended(query, key, value, None, None, row.by_distance, row.bounds, row.longest)
        return (inner.o(found.flatten(-2))[None],)
