"""The kernel of packed relative attention on CUDA, in Triton.

A program has some queries of one sequence and one head, and goes over the sequence's keys, as
FlashAttention does (Dao et al. 2022): it holds the largest score so far, the sum of exponentials
and the weighted sum of values. What content has with positions is read from products that are there
already, by the bucket of each pair's distance; a number for each distance is read by itself.
Importing this module takes triton.
"""

from typing import Any

import torch
import triton
import triton.language as tl

# Measured on an H200 with heads of 64: 1.0 ms a layer of 64 sequences of 512 tokens and 12 heads,
# for 1.16 ms with 128 x 64 and 1.28 ms with 64 x 64; PyTorch's flex_attention took 1.82 ms.
_QUERIES, _KEYS = tl.constexpr(128), tl.constexpr(32)
_WARPS, _STAGES = 4, 3
_LEAST = 16  # numbers that a product takes of each vector
_LOG2_E = tl.constexpr(1.4426950408889634)


def launched(  # noqa: PLR0913, PLR0917 - what attention takes
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    to_keys: torch.Tensor | None,
    to_queries: torch.Tensor | None,
    by_distance: torch.Tensor,
    bounds: torch.Tensor,
    longest: int,
) -> torch.Tensor:
    """See `packed_relative.attended`; products are [heads, tokens, buckets]."""
    query, key, value = (tensor.contiguous() for tensor in (query, key, value))
    tokens, heads, size = query.shape
    found = torch.empty_like(query)
    products = [product for product in (to_keys, to_queries) if product is not None]
    grid = (triton.cdiv(longest, _QUERIES.value), heads, len(bounds) - 1)
    kernel: Any = _attend
    kernel[grid](
        query, key, value, to_keys, to_queries, by_distance, bounds, found, tokens, longest,
        BUCKETS=products[0].shape[2] if products else 0, HEADS=heads, SIZE=size,
        WIDE=triton.next_power_of_2(max(size, _LEAST)), KEYS=to_keys is not None,
        QUERIES=to_queries is not None, ADDED=by_distance.dim() > 1,
        num_warps=_WARPS, num_stages=_STAGES,
    )  # fmt: skip
    return found


@triton.jit  # type: ignore[untyped-decorator]
def _attend(  # type: ignore[no-untyped-def]  # noqa: PLR0913, PLR0915, PLR0917 - one kernel
    query, key, value, to_keys, to_queries, by_distance, bounds, found, tokens, longest,
    BUCKETS: tl.constexpr, HEADS: tl.constexpr, SIZE: tl.constexpr,  # noqa: N803
    WIDE: tl.constexpr, KEYS: tl.constexpr, QUERIES: tl.constexpr,  # noqa: N803
    ADDED: tl.constexpr,  # noqa: N803
):  # fmt: skip
    block, head, sequence = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    start = tl.load(bounds + sequence)
    length = tl.load(bounds + sequence + 1) - start
    if block * _QUERIES < length:
        rows = block * _QUERIES + tl.arange(0, _QUERIES)
        real = rows < length
        width = tl.arange(0, WIDE)
        fits = width < SIZE
        # 64 bits, once: heads x tokens x buckets may be beyond 32.
        plane = head.to(tl.int64) * tokens * BUCKETS
        at = (start + rows)[:, None] * (HEADS * SIZE) + head * SIZE + width[None, :]
        inside = real[:, None] & fits[None, :]
        q = tl.load(query + at, mask=inside, other=0.0)
        largest = tl.full([_QUERIES], -float("inf"), tl.float32)
        total = tl.zeros([_QUERIES], tl.float32)
        summed = tl.zeros([_QUERIES, WIDE], tl.float32)
        for first in range(0, length, _KEYS):
            columns = first + tl.arange(0, _KEYS)
            there = columns < length
            pairs = real[:, None] & there[None, :]
            of_keys = (start + columns) * (HEADS * SIZE) + head * SIZE
            both = there[:, None] & fits[None, :]
            k = tl.load(key + of_keys[:, None] + width[None, :], mask=both, other=0.0)
            scores = tl.dot(q, tl.trans(k))
            apart = rows[:, None] - columns[None, :] + longest
            if ADDED:
                own = by_distance + head * (2 * longest + 1)
                scores += tl.load(own + apart, mask=pairs, other=0.0).to(tl.float32)
            else:
                place = tl.load(by_distance + apart, mask=pairs, other=0)
                if KEYS:
                    line = to_keys + plane + (start + rows)[:, None] * BUCKETS
                    scores += tl.load(line + place, mask=pairs, other=0.0).to(tl.float32)
                if QUERIES:
                    line = to_queries + plane + (start + columns)[None, :] * BUCKETS
                    scores += tl.load(line + place, mask=pairs, other=0.0).to(tl.float32)
            scores = tl.where(there[None, :], scores * _LOG2_E, -float("inf"))
            larger = tl.maximum(largest, tl.max(scores, 1))
            share = tl.exp2(scores - larger[:, None])
            kept = tl.exp2(largest - larger)
            v = tl.load(value + of_keys[:, None] + width[None, :], mask=both, other=0.0)
            summed = summed * kept[:, None] + tl.dot(share.to(v.dtype), v)
            total = total * kept + tl.sum(share, 1)
            largest = larger
        done = summed / total[:, None]
        tl.store(found + at, done.to(found.dtype.element_ty), mask=inside)
