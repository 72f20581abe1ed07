"""A process and everything that it has started, directly or not: found, and killed to the last.

Nothing is found by name: only processes below the root, as psutil sees them.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterable

import psutil

_GONE = (psutil.NoSuchProcess, psutil.ZombieProcess)


def members(root: psutil.Process) -> set[psutil.Process]:
    """The root and all below it that are alive; nothing where the root is gone."""
    try:
        return {root, *root.children(recursive=True)}
    except _GONE:
        return set()


def kill(root: psutil.Process, known: Iterable[psutil.Process] = ()) -> None:
    """SIGKILL for all members at one moment, as when a machine dies, and for those `known` before.

    Everyone is stopped first, until nobody is found who was not stopped: who is stopped starts no
    other. The process that calls may be a member; it dies last.
    """
    stopped: set[psutil.Process] = set()
    while new := {*members(root), *known} - stopped:
        for process in new:
            _send(process, signal.SIGSTOP)
        stopped |= new
    for process in stopped:
        _send(process, signal.SIGKILL)
    if any(process.pid == os.getpid() for process in stopped):
        os.kill(os.getpid(), signal.SIGKILL)


def wait_gone(processes: Iterable[psutil.Process], seconds: float = 60.0) -> None:
    """Until none of them runs; raises AssertionError naming who does."""
    until = time.monotonic() + seconds
    while left := [process for process in processes if _runs(process)]:
        assert time.monotonic() < until, f"still running: {left}"
        time.sleep(0.05)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except _GONE:
        return False


def _send(process: psutil.Process, number: signal.Signals) -> None:
    if process.pid != os.getpid():
        with contextlib.suppress(*_GONE):
            process.send_signal(number)
