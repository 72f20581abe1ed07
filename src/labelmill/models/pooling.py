"""Pooling: the hidden states of padded sequences, one vector a sequence."""

import torch


def pool(hidden: torch.Tensor, lengths: torch.Tensor, pooling: str, skip: int) -> torch.Tensor:
    """[batch, length, width] -> [batch, width], without padding and the first `skip` tokens.

    `lengths` [batch] are on the CPU; padding is on the right. `pooling` is "cls", "last", "max" or
    "mean".
    """
    if pooling == "cls":
        return hidden[:, skip]
    if pooling == "last":
        last = lengths.to(hidden.device) - 1
        return hidden[torch.arange(len(hidden), device=hidden.device), last]
    places = torch.arange(hidden.shape[1])
    counted = ((places < lengths[:, None]) & (places >= skip)).to(hidden.device)
    if pooling == "max":
        return hidden.masked_fill(~counted[..., None], float("-inf")).amax(dim=1)
    weights = counted.to(hidden.dtype)[..., None]
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)
