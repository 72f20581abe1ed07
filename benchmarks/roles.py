"""Roles: what each process of a labelling job does, by what it calls itself, and what it takes.

Ray's workers rename themselves while they work, so one process may have several roles in turn; a
sample counts for the role of that moment. Without Ray the driver reads, tokenizes and writes.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import psutil

from benchmarks.measuring import Sample, Seen

# What is in a process's title or command line -> role; the first that fits.
_SIGNS = (
    ("_Predict", "replica"),
    ("replica_process", "replica"),
    ("_tokenize", "tokenize"),
    ("_write", "write"),
    ("ShardSource", "read"),
    ("Board", "board"),
    ("ray::IDLE", "idle worker"),
    ("ray::", "other worker"),
    ("raylet/raylet", "raylet"),
    ("gcs_server", "gcs"),
    ("labelmill", "driver"),
)


@dataclass(slots=True)
class _Taken:
    rss: int = 0  # bytes, the most of one process
    private: int = 0
    cpu: float = 0.0  # seconds, of all together
    read: int = 0  # bytes that all together got from `read` calls, from whatever file
    processes: set[psutil.Process] = field(default_factory=set)


class Roles:
    """Collects samples of one run; hand `watch` to `measuring.run`."""

    def __init__(self) -> None:
        self._taken: dict[str, _Taken] = defaultdict(_Taken)
        self._cpu: dict[psutil.Process, float] = {}
        self._read: dict[psutil.Process, int] = {}

    def watch(self, seen: Seen) -> None:
        """Take a sample of every process."""
        for process, sample in seen.items():
            try:
                title = " ".join(process.cmdline())
                read = process.io_counters().read_chars
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            taken = self._taken[_role(title)]
            taken.read += read - self._read.get(process, 0)
            self._read[process] = read
            self._add(taken, process, sample)

    def told(self) -> dict[str, dict[str, Any]]:
        """Role -> bytes of its largest process, resident and private; totals of all processes."""
        return {
            role: {
                "rss": taken.rss,
                "private": taken.private,
                "cpu": taken.cpu,
                "read": taken.read,
                "processes": len(taken.processes),
            }
            for role, taken in self._taken.items()
        }

    def _add(self, taken: _Taken, process: psutil.Process, sample: Sample) -> None:
        taken.rss = max(taken.rss, sample.rss)
        taken.private = max(taken.private, sample.private)
        taken.cpu += sample.cpu - self._cpu.get(process, 0.0)
        taken.processes.add(process)
        self._cpu[process] = sample.cpu


def _role(title: str) -> str:
    return next((role for sign, role in _SIGNS if sign in title), "other")
