"""Measuring: run a command and watch its whole tree of processes.

Processes are found by walking down from the command five times a second; one that was seen once is
followed even when its parent is gone. A process that lives shorter than that may be missed.
"""

import contextlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psutil

_EVERY = 0.2  # seconds
Seen = Mapping[psutil.Process, "Sample"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One process at one moment."""

    rss: int  # bytes, with what it shares with others
    private: int  # bytes, without
    cpu: float  # seconds, user and system, so far


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A command that has ended well."""

    stdout: str
    seconds: float  # wall, from start to exit
    cpu_seconds: float  # of the whole tree
    peak: int  # bytes: the largest sum of the resident memory of all processes
    peak_process: int  # bytes: of the largest process


class CommandFailedError(RuntimeError):
    """The command ended with another exit code than 0."""


def run(
    argv: Sequence[str],
    environment: Mapping[str, str],
    watch: Callable[[Seen], None] | None = None,
    limit: float | None = None,
) -> Usage:
    """Run a command to its end; `watch` is called with every sample.

    Raises CommandFailedError; also where it ran longer than `limit` seconds: it is killed then,
    with all that it started.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = time.perf_counter()
        process = subprocess.Popen(argv, stdout=out, stderr=err, env=dict(environment))
        watcher = _Watcher(process.pid, watch, limit)
        try:
            _, code, used = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
        finally:
            watcher.stop()
        process.returncode = os.waitstatus_to_exitcode(code)
        out.seek(0)
        err.seek(0)
        if watcher.late:
            raise CommandFailedError(f"{' '.join(argv)}: no end after {limit:.0f} s")
        if process.returncode:
            raise CommandFailedError(
                f"{' '.join(argv)}: exit {process.returncode}\n{err.read()[-4000:]}"
            )
        return Usage(
            stdout=out.read(),
            seconds=seconds,
            # The kernel counts children that were waited for, the watcher also those that were not.
            cpu_seconds=max(used.ru_utime + used.ru_stime, watcher.cpu()),
            peak=watcher.peak,
            peak_process=watcher.peak_process,
        )


class _Watcher:
    def __init__(self, pid: int, watch: Callable[[Seen], None] | None, limit: float | None) -> None:
        self._root = psutil.Process(pid)
        self._watch = watch
        self._known: dict[psutil.Process, float] = {}  # CPU seconds, last seen
        self.peak = 0
        self.peak_process = 0
        self.late = False
        self._until = float("inf") if limit is None else time.monotonic() + limit
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def cpu(self) -> float:
        return sum(self._known.values())

    def _loop(self) -> None:
        while not self._stop.wait(_EVERY):
            seen = self._samples()
            self._known |= {process: sample.cpu for process, sample in seen.items()}
            self.peak = max(self.peak, sum(sample.rss for sample in seen.values()))
            largest = max((sample.rss for sample in seen.values()), default=0)
            self.peak_process = max(self.peak_process, largest)
            if self._watch is not None:
                self._watch(seen)
            if time.monotonic() > self._until:
                self._kill(seen)

    def _kill(self, seen: Seen) -> None:
        self.late = True
        for process in seen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _samples(self) -> Seen:
        found = {process: _sample(process) for process in {*self._known, *_tree(self._root)}}
        return {process: sample for process, sample in found.items() if sample is not None}


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _sample(process: psutil.Process) -> Sample | None:
    """None where the process is gone."""
    try:
        with process.oneshot():
            memory, cpu = process.memory_info(), process.cpu_times()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return Sample(rss=memory.rss, private=memory.rss - memory.shared, cpu=cpu.user + cpu.system)
