"""The two streams: results on stdout, everything else on stderr."""

import contextlib
import json
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, TextIO

import click
from rich.console import Console, RenderableType

from labelmill.errors import StorageError

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
    click.echo(f"labelmill: {text}", err=True)


def result(told: RenderableType | dict[str, Any]) -> None:
    """Print the command's result: one JSON object, or something for people.

    Raises StorageError where stdout does not take it; a reader who has seen enough is no error.
    """
    try:
        if isinstance(told, dict):
            click.echo(json.dumps(told), file=stdout())
        else:
            # No markup: names of files and labels may have brackets.
            Console(file=stdout(), soft_wrap=True, highlight=False, markup=False).print(told)
        stdout().flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StorageError(f"the result cannot be written to stdout: {error}") from error
