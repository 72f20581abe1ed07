"""Threads: the same work on many items at once, in bounded memory, with the results in order."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_THREADS = 16
_WINDOW = 32  # results that may wait for their reader

T = TypeVar("T")
R = TypeVar("R")


def spread(
    work: Callable[[T], R], items: Iterable[T], threads: int | None = None, window: int = _WINDOW
) -> Iterator[tuple[T, R]]:
    """`work` of each item, in order, on threads; at most `window` results exist at a time."""
    waiting: deque[tuple[T, Future[R]]] = deque()
    source = iter(items)
    with ThreadPoolExecutor(threads or _THREADS) as pool:
        for item in itertools.islice(source, window):
            waiting.append((item, pool.submit(work, item)))
        while waiting:
            item, future = waiting.popleft()
            yield item, future.result()
            for upcoming in itertools.islice(source, 1):
                waiting.append((upcoming, pool.submit(work, upcoming)))
