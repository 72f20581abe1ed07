"""Pooling: the hidden states of sequences that lie end to end, one vector a sequence."""

import torch


def packed_pool(
    hidden: torch.Tensor, bounds: torch.Tensor, pooling: str, skip: int
) -> torch.Tensor:
    """[tokens, width] -> [sequences, width], without the first `skip` tokens of each."""
    starts, ends = bounds[:-1].long(), bounds[1:].long()
    if pooling in {"cls", "last"}:
        places = starts + skip if pooling == "cls" else ends - 1
        return hidden[places.clamp(0, len(hidden) - 1)]
    if skip:  # what is skipped and what is pooled, by turns
        inner = torch.minimum(starts + skip, ends)
        offsets = torch.cat([torch.stack([starts, inner], dim=1).flatten(), ends[-1:]])
    else:
        offsets = bounds.long()
    pooled: torch.Tensor = torch.segment_reduce(hidden, pooling, offsets=offsets, unsafe=True)
    return pooled[1::2] if skip else pooled
