"""The kernel of packed relative attention: what the loop that proves the rest gives.

Where there is no GPU it can run in Triton's interpreter: TRITON_INTERPRET=1, with triton installed.
"""

import os

import pytest
import torch

from labelmill.models.packed_relative import _looped, _products

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not (torch.cuda.is_available() or INTERPRETED), reason="needs a CUDA device"
    ),
]
SPAN, BUCKETS = 150, 40


@pytest.mark.parametrize("kinds", ["", "c2p", "p2c", "c2p p2c", "added"])
@pytest.mark.parametrize(("heads", "size"), [(3, 64), (2, 8), (1, 24)])
@pytest.mark.parametrize("lengths", [(1,), (5, 0, 129, 1, 32, 128, 33)], ids=str)
def test_the_kernel_gives_what_the_loop_gives(lengths, heads, size, kinds):
    from labelmill.models.relative_kernel import launched

    device = "cpu" if INTERPRETED else "cuda"
    dtype = torch.float32 if INTERPRETED else torch.bfloat16
    torch.manual_seed(0)
    shape = (sum(lengths), heads, size)
    query, key, value = (torch.randn(shape, dtype=dtype, device=device) for _ in range(3))
    query = query / size**0.5
    positions = torch.randn(heads, BUCKETS, size, dtype=dtype, device=device) / 4
    to_keys = _products(query, positions if "c2p" in kinds else None)
    to_queries = _products(key, positions if "p2c" in kinds else None)
    by_distance = torch.randint(0, BUCKETS, (2 * SPAN + 1,), dtype=torch.int32, device=device)
    if kinds == "added":
        by_distance = torch.randn(heads, 2 * SPAN + 1, dtype=dtype, device=device)
    bounds = torch.tensor([0, *lengths], dtype=torch.int32, device=device).cumsum(0).int()
    found = launched(query, key, value, to_keys, to_queries, by_distance, bounds, SPAN)
    exact = [None if one is None else one.cpu().float() for one in (to_keys, to_queries)]
    contents = (one.cpu().float() for one in (query, key, value))
    there = by_distance.cpu().float() if kinds == "added" else by_distance.cpu()
    wanted = _looped(*contents, *exact, there, bounds.cpu())
    tolerance = 1e-5 if INTERPRETED else 0.02
    torch.testing.assert_close(found.cpu().float(), wanted, rtol=0, atol=tolerance)
