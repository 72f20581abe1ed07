"""Every interleaving of several processes on one store, each crashing at every point.

A process is a function of a store. It is stepped by replay: run again from its start with the
results of its earlier verbs from a log, let it do one verb more for real, and stop it at the next.
Equal situations (files, logs) are visited once, so that exhausting all schedules stays cheap.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from labelmill.storage import Entry, FileMissing, Kind
from tests.support.stores import MemoryStore

Log = tuple[tuple[str, tuple[Any, ...], Any], ...]  # verb, arguments, result
Process = Callable[[Any], Any]


class _Pause(BaseException):
    """The process has come to its next verb."""


@dataclass(frozen=True)
class Progress:
    """How far a process is: the verbs it did with their results, and what it returned."""

    log: Log = ()
    ended: bool = False
    result: Any = None


@dataclass(frozen=True)
class Situation:
    """The store and how far every process is."""

    files: tuple[tuple[str, bytes], ...]
    progress: tuple[Progress, ...]

    def store(self) -> MemoryStore:
        """A store of its own with these files."""
        return MemoryStore(dict(self.files))

    @property
    def ended(self) -> bool:
        """Every process has come to its end."""
        return all(each.ended for each in self.progress)


class _Stepped:
    """The store as a replayed process sees it."""

    def __init__(self, inner: MemoryStore, log: Log) -> None:
        self.url = inner.url
        self.exclusive = inner.exclusive
        self.log = list(log)
        self._inner = inner
        self._place = 0
        self._spent = False

    def list(self, prefix: str = "") -> Iterator[Entry]:
        return iter(self._do("list", lambda: tuple(self._inner.list(prefix)), prefix))

    def kind(self, path: str) -> Kind | None:
        return self._do("kind", lambda: self._inner.kind(path), path)

    def stat(self, path: str) -> Entry:
        return self._do("stat", lambda: self._inner.stat(path), path)

    def open(self, path: str) -> BinaryIO:
        return io.BytesIO(self._do("open", lambda: self._inner.open(path).read(), path))

    def create(self, path: str, data: bytes) -> bool:
        return self._do("create", lambda: self._inner.create(path, data), path, bytes(data))

    def delete(self, path: str) -> None:
        self._do("delete", lambda: self._inner.delete(path), path)

    def _do(self, verb: str, deed: Callable[[], Any], *arguments: Any) -> Any:
        if self._place == len(self.log):
            if self._spent:
                raise _Pause
            self._spent = True
            self.log.append((verb, arguments, _outcome(deed)))
        *known, outcome = self.log[self._place]
        assert known == [verb, arguments], "the process is not deterministic"
        self._place += 1
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def _outcome(deed: Callable[[], Any]) -> Any:
    try:
        return deed()
    except FileMissing as missing:
        return missing


def beginning(files: dict[str, bytes], processes: list[Process]) -> Situation:
    """Nobody has done anything yet."""
    return Situation(_frozen(files), tuple(Progress() for _ in processes))


def explore(start: Situation, processes: list[Process], visit: Callable[[Situation], None]) -> int:
    """Visit every situation that some schedule reaches, each once; how many there are."""
    seen, waiting = {_key(start)}, [start]
    while waiting:
        situation = waiting.pop()
        visit(situation)
        for number, process in enumerate(processes):
            if situation.progress[number].ended:
                continue
            following = step(situation, number, process)
            if _key(following) not in seen:
                seen.add(_key(following))
                waiting.append(following)
    return len(seen)


def step(situation: Situation, number: int, process: Process) -> Situation:
    """The situation after one verb of one process."""
    store = situation.store()
    stepped = _Stepped(store, situation.progress[number].log)
    try:
        result = process(stepped)
        after = Progress(log=tuple(stepped.log), ended=True, result=result)
    except _Pause:
        after = Progress(log=tuple(stepped.log))
    progress = list(situation.progress)
    progress[number] = after
    return replace(situation, files=_frozen(store.files), progress=tuple(progress))


def _frozen(files: dict[str, bytes]) -> tuple[tuple[str, bytes], ...]:
    return tuple(sorted(files.items()))


def _key(situation: Situation) -> Any:
    told = tuple((len(p.log), p.ended, repr([r for _, _, r in p.log])) for p in situation.progress)
    return situation.files, told
