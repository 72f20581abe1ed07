"""Relative attention within each of the sequences that lie end to end in one row.

Scores of pairs also depend on their distance: by products of content with the vector of its bucket
(DeBERTa), or by a number of each head's own (MPNet). On CUDA it is one kernel that never holds the
scores of all pairs; elsewhere a loop that is there to prove the rest, and gathers. torch.compile
takes either for one operation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch


@dataclass(frozen=True, slots=True)
class Row:
    """Sequences end to end; see `attended`."""

    by_distance: torch.Tensor
    bounds: torch.Tensor
    longest: int


class Sequences:
    """What attentions are told of a packed pass; in a padded one there is nothing to tell."""

    def __init__(self, by_distance: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """`by_distance`: distances -> what there is for each of them."""
        self._by_distance = by_distance
        self._known: dict[int, torch.Tensor] = {}  # by `longest`, of which there are few
        self.row: Row | None = None

    def begin(self, bounds: torch.Tensor, longest: int) -> None:
        """The next pass is packed."""
        if longest not in self._known:
            # On the model's device, whose logarithms decide where a bucket ends.
            distances = torch.arange(-longest, longest + 1, device=bounds.device)
            self._known[longest] = self._by_distance(distances)
        self.row = Row(self._known[longest], bounds, longest)

    def end(self) -> None:
        """The next pass is padded."""
        self.row = None


@torch.library.custom_op("labelmill::packed_relative", mutates_args=())
def attended(  # noqa: PLR0913, PLR0917 - what attention takes
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    key_positions: torch.Tensor | None,
    query_positions: torch.Tensor | None,
    by_distance: torch.Tensor,
    bounds: torch.Tensor,
    longest: int,
) -> torch.Tensor:
    """What each token attends to: [tokens, heads, size], as are query (scaled), key and value.

    Positions are [heads, buckets, size]: key_positions are multiplied with the query, and
    query_positions, scaled as it is, with the key. `by_distance` is then [2 * longest + 1] int32,
    the bucket of a distance, from -longest on: that of a query to a key is how far it lies behind.
    Without positions it may be [heads, 2 * longest + 1] instead: what is added to the scores.
    `bounds` [sequences + 1] int32 is where sequences start, and where the last one ends; none has
    more than `longest` tokens.
    """
    to_keys = _products(query, key_positions)
    to_queries = _products(key, query_positions)
    if not query.is_cuda:
        return _looped(query, key, value, to_keys, to_queries, by_distance, bounds)
    # Not above: triton is where CUDA is.
    from labelmill.models.relative_kernel import launched  # noqa: PLC0415

    return launched(query, key, value, to_keys, to_queries, by_distance, bounds, longest)


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
    by_distance: torch.Tensor,
    bounds: torch.Tensor,
) -> torch.Tensor:
    """One sequence after another."""
    found = query.new_empty(query.shape)
    for start, stop in pairwise(bounds.tolist()):
        q, k, v = (x[start:stop].transpose(0, 1) for x in (query, key, value))
        steps = torch.arange(stop - start)
        of_pairs = by_distance[..., steps[:, None] - steps + by_distance.shape[-1] // 2]
        scores = q @ k.transpose(1, 2)
        if by_distance.dim() > 1:
            scores += of_pairs
        if to_keys is not None:
            scores += to_keys[:, start:stop].gather(2, _each(of_pairs, q))
        if to_queries is not None:
            # Seen from the key, for which the queries are the other way.
            seen = to_queries[:, start:stop].gather(2, _each(of_pairs.T, q))
            scores += seen.transpose(1, 2)
        found[start:stop] = (scores.softmax(-1) @ v).transpose(0, 1)
    return found


def _each(buckets: torch.Tensor, content: torch.Tensor) -> torch.Tensor:
    """[length, length] -> [heads, length, length]."""
    return buckets.long().expand(len(content), -1, -1)
