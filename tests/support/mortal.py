"""A job without Ray in a process of its own, which may die of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import forked, inline, killing
from tests.support.killing import Death


def attempt(job: Path, death: Death | None = None) -> int | None:
    """Run the job of a job file until its end, or its death; the exit code, -9 after SIGKILL."""
    return outcome(_label, job, death)


def outcome(function: Callable[..., None], *arguments: Any) -> int | None:
    """Call the function, which must be picklable, in such a process; the exit code."""
    process = forked.context().Process(target=function, args=arguments)
    process.start()
    process.join(timeout=120)
    return process.exitcode


def _label(job: Path, death: Death | None) -> None:
    if death is not None:
        killing.wait_for(death)
    inline.label_file(job)
