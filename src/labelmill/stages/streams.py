"""Streams: the microbatches of a split through an engine that computes several of them at once.

It promises the order of the microbatches, and that at most twice as many exist as are computed.
"""

from collections.abc import Callable, Iterable, Iterator

from labelmill import threads
from labelmill.batch import Microbatch, Outputs

Forward = Callable[[Microbatch], Outputs]


def predicted(
    forward: Forward, microbatches: Iterable[Microbatch], streams: int
) -> Iterator[tuple[Microbatch, Outputs]]:
    """Each with its outputs; raises what `forward` raises, once nothing is computed any more."""
    if streams == 1:  # in this thread: torch keeps settings a thread
        return ((microbatch, forward(microbatch)) for microbatch in microbatches)
    return threads.spread(forward, microbatches, streams, 2 * streams)
