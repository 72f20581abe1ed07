"""The two streams: results on stdout, everything else on stderr."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, TextIO

import click
from rich.console import Console, RenderableType

from labelmill.errors import StorageError
from labelmill.masking import masked

_RESULTS: ContextVar[TextIO | None] = ContextVar("results", default=None)


@contextlib.contextmanager
def for_results() -> Iterator[None]:
    """Keep stdout for results: what libraries or a checkpoint's own code print goes to stderr."""
    kept = _RESULTS.set(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _RESULTS.reset(kept)


def stdout() -> TextIO:
    """Where results go."""
    return _RESULTS.get() or sys.stdout


def note(text: str) -> None:
    """Print a line for people that is no result."""
    click.echo(f"labelmill: {masked(text)}", err=True)


def result(told: RenderableType | dict[str, Any]) -> bool:
    """Print a result: one JSON object, or something for people; whether anybody reads on.

    Raises StorageError where stdout does not take it; a reader who has seen enough is no error.
    """
    text = json.dumps(told) + "\n" if isinstance(told, dict) else _drawn(told)
    try:
        stdout().write(text)
        stdout().flush()
    except BrokenPipeError:
        _forget(stdout())
        return False
    except OSError as error:
        raise StorageError(f"the result cannot be written to stdout: {error}") from error
    return True


def _drawn(told: RenderableType) -> str:
    # Names of files and labels may have brackets, and may have colons, as in 10:100:00.
    plain = Console(file=stdout(), soft_wrap=True, highlight=False, markup=False, emoji=False)
    with plain.capture() as drawn:  # else it ends the process where nobody reads on
        plain.print(told)
    return masked(drawn.get())


def _forget(stream: TextIO) -> None:
    """Send what the stream still holds nowhere: Python writes it when it ends, and would fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
