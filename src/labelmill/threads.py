"""Threads: the cores there are for them, and the same work on many items at once.

That is done in bounded memory, and its results come in order.
"""

import itertools
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

_THREADS = 16
_WINDOW = 32  # results that may wait for their reader
_QUOTA = Path("/sys/fs/cgroup/cpu.max")

T = TypeVar("T")
R = TypeVar("R")


def spread(
    work: Callable[[T], R], items: Iterable[T], threads: int | None = None, window: int = _WINDOW
) -> Iterator[tuple[T, R]]:
    """`work` of each item, in order, on threads; at most `window` results exist at a time.

    A single item needs no thread, and has none.
    """
    waiting: deque[tuple[T, Future[R]]] = deque()
    source = iter(items)
    first = list(itertools.islice(source, window))
    if len(first) < min(2, window):
        yield from ((item, work(item)) for item in first)
        return
    with ThreadPoolExecutor(threads or _THREADS) as pool:
        for item in first:
            waiting.append((item, pool.submit(work, item)))
        while waiting:
            item, future = waiting.popleft()
            yield item, future.result()
            for upcoming in itertools.islice(source, 1):
                waiting.append((upcoming, pool.submit(work, upcoming)))


def cores() -> int:
    """The cores that this process may use, at most as many as its container may."""
    # Absent on macOS.
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(here or 1, _quota() or sys.maxsize)


def _quota() -> int | None:
    """Cores' worth of time that a container may have, by version 2 of cgroups; None: no limit."""
    try:
        quota, period = map(int, _QUOTA.read_text("ascii").split())
    except (OSError, ValueError):  # no such file; "max", where there is no limit
        return None
    return -(-quota // period)
