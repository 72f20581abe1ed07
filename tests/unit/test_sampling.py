"""Sampling: noise that is Gumbel's, and that nothing but seed, step and token decides."""

import math

import pytest
import torch

from labelmill.engines.pytorch.sampling import drawn, gumbel


def test_noise_is_standard_gumbel():
    seeds = torch.arange(400)[:, None]
    noise = gumbel(seeds, 3, torch.arange(500)[None, :])
    assert noise.shape == (400, 500)
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.01)  # Euler's constant
    assert noise.var().item() == pytest.approx(math.pi**2 / 6, abs=0.02)
    below = (noise < 0).double().mean().item()
    assert below == pytest.approx(math.exp(-1), abs=0.005)


def test_noise_of_neighbouring_seeds_steps_and_tokens_is_unrelated():
    one = gumbel(torch.arange(20_000), 0, torch.zeros(20_000, dtype=torch.int64))
    for other in (
        gumbel(torch.arange(20_000) + 1, 0, torch.zeros(20_000, dtype=torch.int64)),
        gumbel(torch.arange(20_000), 1, torch.zeros(20_000, dtype=torch.int64)),
        gumbel(torch.arange(20_000), 0, torch.ones(20_000, dtype=torch.int64)),
    ):
        assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1].item()) < 0.03


def test_drawn_is_the_same_alone_and_in_company():
    scores = torch.randn(6, 50, generator=torch.Generator().manual_seed(0))
    seeds = torch.tensor([5, -7, 2**62, 0, 5, 1])
    together = drawn(scores, seeds, 4)
    apart = [drawn(scores[row][None], seeds[row][None], 4).item() for row in range(6)]
    assert together.tolist() == apart


def test_drawn_never_takes_what_may_not_be_drawn():
    scores = torch.full((1000, 10), -torch.inf)
    scores[:, 3], scores[:, 7] = 0.0, math.log(3)
    chosen = drawn(scores, torch.arange(1000), 0)
    assert set(chosen.tolist()) == {3, 7}
    assert (chosen == 7).double().mean().item() == pytest.approx(0.75, abs=0.04)


def test_drawn_of_other_steps_differs():
    scores = torch.zeros(50, 100)
    first, second = (drawn(scores, torch.arange(50), step) for step in (0, 1))
    assert (first != second).sum() > 40
