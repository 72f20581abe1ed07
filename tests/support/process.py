"""The command `labelmill` as a child with all that it starts: watched, signalled, killed, read.

Its Ray is its own: nothing of the user's configuration reaches it, its sockets and logs lie in a
directory of their own, and no process outlives the `with`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support import family

ROOT = Path(__file__).parents[2]
_LOOK = 0.05  # seconds between two looks at a condition
_COUNT = 10  # looks between two at all processes: psutil asks for every one of the machine
_RAY = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a command left on its streams."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def told(self) -> dict[str, Any]:
        """The object that `--json` printed."""
        found: dict[str, Any] = json.loads(self.out)
        return found


class Command:
    """A running command."""

    def __init__(self, process: "subprocess.Popen[bytes]", streams: Path) -> None:
        self._process = process
        self._streams = streams
        self.root = psutil.Process(process.pid)
        self._seen: set[psutil.Process] = set()
        self._looks = 0
        self._started = time.monotonic()

    @property
    def members(self) -> set[psutil.Process]:
        """The command's process and all below it, now."""
        return family.members(self.root)

    @property
    def said(self) -> str:
        """What it has written to stderr by now."""
        return (self._streams / "err").read_text("utf-8")

    @property
    def ended(self) -> bool:
        """Whether the command itself has ended."""
        return self._process.poll() is not None

    def wait_until(self, condition: Callable[[], bool], seconds: float = 240.0) -> None:
        """Until it holds; raises AssertionError where the command ends, or so many seconds pass."""
        until = time.monotonic() + seconds
        while not condition():
            assert self._process.poll() is None, f"ended too early: {self._ended()}"
            assert time.monotonic() < until, f"waited too long: {self._ended()}"
            self._look()

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """To the command's own process alone, or to its group, as a terminal does at Ctrl-C."""
        if group:
            os.killpg(self._process.pid, number)
        else:
            self._process.send_signal(number)

    def named(self, name: str) -> list[psutil.Process]:
        """The members with this in their command line, where Ray writes what a worker is."""
        return [process for process in self.members if name in _command_line(process)]

    def kill(self) -> None:
        """SIGKILL for it and everything below, at one moment."""
        self._seen |= self.members
        family.kill(self.root, self._seen)
        self._process.wait()
        family.wait_gone(self._seen)

    def end(self, seconds: float = 240.0) -> Ended:
        """Wait for its end; raises AssertionError where it or a process that it started goes on."""
        until = time.monotonic() + seconds
        while self._process.poll() is None:
            assert time.monotonic() < until, f"did not end: {self._ended()}"
            self._look()
        ended = self._ended()
        family.wait_gone(self._seen)
        return ended

    def _look(self) -> None:
        if self._looks % _COUNT == 0:
            self._seen |= self.members
        self._looks += 1
        time.sleep(_LOOK)

    def _ended(self) -> Ended:
        out, err = ((self._streams / name).read_text("utf-8") for name in ("out", "err"))
        code = self._process.returncode
        seconds = time.monotonic() - self._started
        return Ended(code=-1 if code is None else code, out=out, err=err, seconds=seconds)


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


@contextmanager
def command(*arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Command]:
    """`python -m labelmill` with these arguments; killed where it still runs at the end."""
    # Short, because a socket's path may have 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="lm-", dir="/tmp"))
    with (directory / "out").open("wb") as out, (directory / "err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "labelmill", *arguments],
            cwd=ROOT,
            env=_environment(directory) | dict(environment or {}),
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    running = Command(process, directory)
    try:
        yield running
    finally:
        running.kill()
        shutil.rmtree(directory, ignore_errors=True)


def _environment(directory: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    return kept | _RAY | {"RAY_TMPDIR": str(directory), "OMP_NUM_THREADS": "1"}


def label(job: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Ended:
    """`labelmill label JOB.yaml --json` to its end."""
    with command("label", str(job), "--json", *arguments, environment=environment) as running:
        return running.end()
