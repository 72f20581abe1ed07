"""Order: in which order examples are seen, by seed and epoch alone.

The order does not know how many workers there are: it is cut into whole steps, and every worker
takes its share of each. So two workers with half the batch see what one sees with all of it, and an
order that was broken off is found again.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]
_POOL = 50  # steps whose examples are drawn together, and then sorted by length


class Order:
    """The places of all examples, in whole steps; the last step is filled up from the first.

    With `lengths`, examples of like length share a step, so that little of it is padding.
    """

    def __init__(
        self, examples: int, step: int, seed: int, lengths: Places | None, *, shuffled: bool = True
    ) -> None:
        self._examples = examples
        self._step = step
        self._seed = seed
        self._lengths = lengths
        self._shuffled = shuffled
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Which of the orders comes next."""
        self._epoch = epoch

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-self._examples // self._step)

    def __len__(self) -> int:
        return self.steps * self._step

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng([self._seed, self._epoch])
        drawn = np.arange(self._examples)
        if self._shuffled:
            random.shuffle(drawn)
        drawn = np.resize(drawn, len(self))
        if self._lengths is not None:
            drawn = self._sorted(drawn, random)
        return iter(drawn.tolist())

    def _sorted(self, drawn: Places, random: np.random.Generator) -> Places:
        """Sorted by length within pools; the steps of all pools in an order of their own."""
        assert self._lengths is not None  # noqa: S101 - for the type checker
        size = self._step * max(1, min(_POOL, len(self) // (self._step * 4)))
        pools = [drawn[start : start + size] for start in range(0, len(drawn), size)]
        by_length = [pool[np.argsort(-self._lengths[pool], kind="stable")] for pool in pools]
        steps = np.concatenate(by_length).reshape(-1, self._step)
        chosen: Places = steps[random.permutation(len(steps))].reshape(-1)
        return chosen


class LongestFirst:
    """Every example once, the longest first; for measuring, where the order says nothing."""

    def __init__(self, lengths: Places) -> None:
        self._places = np.argsort(-lengths, kind="stable")

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[int]:
        return iter(self._places.tolist())
