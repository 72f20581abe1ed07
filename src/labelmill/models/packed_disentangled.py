"""Disentangled attention within each of the sequences that lie end to end in one row.

On CUDA it is one kernel that never holds the scores of all pairs; elsewhere a loop that is there to
prove the rest, and gathers. torch.compile takes either for one operation.
"""

from itertools import pairwise

import torch


@torch.library.custom_op("labelmill::packed_disentangled", mutates_args=())
def attended(  # noqa: PLR0913, PLR0917 - what attention takes
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    key_positions: torch.Tensor | None,
    query_positions: torch.Tensor | None,
    places: torch.Tensor,
    bounds: torch.Tensor,
    longest: int,
) -> torch.Tensor:
    """What each token attends to: [tokens, heads, size], as are query (scaled), key and value.

    Positions are [heads, buckets, size]: key_positions are multiplied with the query, and
    query_positions, scaled as it is, with the key. `places` [2 * longest + 1] int32 says which
    bucket a distance has, from -longest on: that of a query to a key is how far it lies behind.
    `bounds` [sequences + 1] int32 is where sequences start, and where the last one ends; none has
    more than `longest` tokens.
    """
    to_keys = _products(query, key_positions)
    to_queries = _products(key, query_positions)
    if not query.is_cuda:
        return _looped(query, key, value, to_keys, to_queries, places, bounds)
    # Not above: triton is where CUDA is.
    from labelmill.models.disentangled_kernel import launched  # noqa: PLC0415

    return launched(query, key, value, to_keys, to_queries, places, bounds, longest)


@attended.register_fake
def _shaped(query: torch.Tensor, *_: object) -> torch.Tensor:
    return query.new_empty(query.shape)


def _products(content: torch.Tensor, positions: torch.Tensor | None) -> torch.Tensor | None:
    """[heads, tokens, buckets]."""
    return None if positions is None else content.transpose(0, 1) @ positions.transpose(1, 2)


def _looped(  # noqa: PLR0913, PLR0917 - what attention takes
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    to_keys: torch.Tensor | None,
    to_queries: torch.Tensor | None,
    places: torch.Tensor,
    bounds: torch.Tensor,
) -> torch.Tensor:
    """One sequence after another."""
    found = query.new_empty(query.shape)
    for start, stop in pairwise(bounds.tolist()):
        q, k, v = (x[start:stop].transpose(0, 1) for x in (query, key, value))
        steps = torch.arange(stop - start)
        near = places[steps[:, None] - steps + len(places) // 2].long().expand(len(q), -1, -1)
        scores = q @ k.transpose(1, 2)
        if to_keys is not None:
            scores += to_keys[:, start:stop].gather(2, near)
        if to_queries is not None:
            # Seen from the key, for which the queries are the other way.
            seen = to_queries[:, start:stop].gather(2, near.transpose(1, 2))
            scores += seen.transpose(1, 2)
        found[start:stop] = (scores.softmax(-1) @ v).transpose(0, 1)
    return found
