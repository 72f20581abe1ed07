"""Streams: the microbatches of a split through an engine that computes several of them at once.

It promises the order of the microbatches, and that at most twice as many exist as are computed.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from labelmill.batch import Microbatch, Outputs

Forward = Callable[[Microbatch], Outputs]
Predicted = tuple[Microbatch, Outputs]


def predicted(
    forward: Forward, microbatches: Iterable[Microbatch], streams: int
) -> Iterator[Predicted]:
    """Each with its outputs; raises what `forward` raises, once nothing is computed any more."""
    if streams == 1:
        return ((microbatch, forward(microbatch)) for microbatch in microbatches)
    return _at_once(forward, microbatches, streams)


def _at_once(
    forward: Forward, microbatches: Iterable[Microbatch], streams: int
) -> Iterator[Predicted]:
    waiting: deque[tuple[Microbatch, Future[Outputs]]] = deque()
    with ThreadPoolExecutor(streams) as pool:
        for microbatch in microbatches:
            waiting.append((microbatch, pool.submit(forward, microbatch)))
            if len(waiting) == 2 * streams:
                yield _first(waiting)
        while waiting:
            yield _first(waiting)


def _first(waiting: deque[tuple[Microbatch, Future[Outputs]]]) -> Predicted:
    microbatch, outputs = waiting.popleft()
    return microbatch, outputs.result()
