"""Sampling: a token drawn from scores by noise that depends on nothing but seed, step and token.

Adding standard Gumbel noise to log-probabilities and taking the largest draws a token with its
probability (the Gumbel-max trick; Maddison, Tarlow and Minka, 2014). The noise of a token is a hash
of (seed of the row, step, token id), so a row gets the same tokens in any company, order or retry.
"""

import torch

# The finalizer of splitmix64 (Steele, Lea and Flood, 2014), as signed numbers: torch's integers
# wrap around like C's.
_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_FIRST = 0xBF58476D1CE4E5B9 - 2**64
_SECOND = 0x94D049BB133111EB - 2**64
_BITS = 53  # of a float64


def drawn(scores: torch.Tensor, seeds: torch.Tensor, step: int) -> torch.Tensor:
    """[batch] int64 a token of each row, drawn with the softmax of its scores.

    `scores` [batch, vocabulary] float32, -inf for what may not be drawn; `seeds` [batch] int64.
    """
    rows, tokens = torch.nonzero(scores > -torch.inf, as_tuple=True)
    noisy = torch.full_like(scores, -torch.inf, dtype=torch.float64)
    noisy[rows, tokens] = scores[rows, tokens].double() + gumbel(seeds[rows], step, tokens)
    return noisy.argmax(dim=-1)


def gumbel(seeds: torch.Tensor, step: int, tokens: torch.Tensor) -> torch.Tensor:
    """Standard Gumbel noise, float64, of the shape that `seeds` and `tokens` (int64) have."""
    keys = _mixed(_mixed(seeds + _GOLDEN) + step * 2 + 1)
    hashed = _mixed(keys + (tokens + 1) * _GOLDEN)
    uniform = (_shifted(hashed, 64 - _BITS).double() + 0.5) * 2.0**-_BITS
    return -torch.log(-torch.log(uniform))


def _mixed(numbers: torch.Tensor) -> torch.Tensor:
    numbers = (numbers ^ _shifted(numbers, 30)) * _FIRST
    numbers = (numbers ^ _shifted(numbers, 27)) * _SECOND
    return numbers ^ _shifted(numbers, 31)


def _shifted(numbers: torch.Tensor, bits: int) -> torch.Tensor:
    """To the right, filled with zeros: torch's own shift copies the sign."""
    return (numbers >> bits) & ((1 << (64 - bits)) - 1)
