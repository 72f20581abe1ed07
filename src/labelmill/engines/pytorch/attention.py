"""Attention within each of the sequences that lie end to end in one row.

Importing this module registers it with transformers, under the name ATTENTION. On CUDA it is
FlashAttention, in half precision; elsewhere a loop that is there to prove the rest. Padded calls of
a model that was set to it go on as before.
"""

from itertools import pairwise
from typing import Any

import torch
from torch.nn import functional
from torch.nn.attention import varlen
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION = "labelmill_packed"


def _attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """[1, heads, tokens, size] -> [1, tokens, heads, size]; padded calls go transformers' way."""
    bounds = more.get("cu_seq_lens_q")
    if bounds is None:
        padded: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **more
        )
        return padded
    window = more.get("sliding_window")
    # transformers' window counts the token itself, FlashAttention's how far one sees to each side.
    reach = -1 if window is None else int(window) - 1
    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    inner = _flash if query.is_cuda else _looped
    return inner(q, k, v, bounds, more["max_length_q"], more.get("scaling"), reach)[None], None


def _flash(  # noqa: PLR0913, PLR0917 - what attention takes
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    longest: int,
    scale: float | None,
    reach: int,
) -> torch.Tensor:
    """[tokens, heads, size] each; half precision only."""
    more: dict[str, Any] = {"scale": scale}
    if reach >= 0:
        more["window_size"] = (reach, reach)
    found: Any = varlen.varlen_attn(query, key, value, bounds, bounds, longest, longest, **more)
    attended: torch.Tensor = found
    return attended


@torch.compiler.disable  # type: ignore[untyped-decorator] # else it writes the loop out
def _looped(  # noqa: PLR0913, PLR0917 - what attention takes
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    longest: int,
    scale: float | None,
    reach: int,
) -> torch.Tensor:
    """The same, one sequence after another."""
    del longest
    found = torch.zeros_like(query)
    ends = bounds.tolist()
    for start, stop in pairwise(ends):
        q, k, v = (x[start:stop].transpose(0, 1) for x in (query, key, value))
        places = torch.arange(stop - start, device=query.device)
        near = (places[:, None] - places).abs() <= reach if reach >= 0 else None
        one = functional.scaled_dot_product_attention(q, k, v, attn_mask=near, scale=scale)
        found[start:stop] = one.transpose(0, 1)
    return found


def _mask(*, attention_mask: torch.Tensor | None = None, **more: Any) -> Any:
    """None where sequences are packed: each attends to the whole of itself."""
    if attention_mask is None:
        return None
    return sdpa_mask(attention_mask=attention_mask, **more)


AttentionInterface.register(ATTENTION, _attention)
AttentionMaskInterface.register(ATTENTION, _mask)
