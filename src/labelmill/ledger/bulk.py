"""Bulk: many small files of a store at once, by threads, in bounded memory and in order."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from labelmill.storage import FileMissing, Store

_THREADS = 16
_WINDOW = 32  # results that may wait for their reader

T = TypeVar("T")
R = TypeVar("R")


def read(store: Store, path: str) -> bytes:
    """One file; raises FileMissing."""
    with store.open(path) as file:
        return file.read()


def read_all(store: Store, paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Each file that is there, in the order of `paths`; those that are gone by now are left out."""

    def found(path: str) -> bytes | None:
        try:
            return read(store, path)
        except FileMissing:
            return None

    for path, data in spread(found, paths):
        if data is not None:
            yield path, data


def delete_all(store: Store, paths: Iterable[str]) -> None:
    """Delete every file; one that is gone is no error."""
    for _ in spread(store.delete, paths):
        pass


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
