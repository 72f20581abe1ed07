"""The two streams: results on stdout, everything else on stderr."""

import json
import sys
from typing import Any

import click
from rich.console import Console, RenderableType

from labelmill.errors import StorageError


def note(text: str) -> None:
    """Print a line for people that is no result."""
    click.echo(f"labelmill: {text}", err=True)


def result(told: RenderableType | dict[str, Any]) -> None:
    """Print the command's result: one JSON object, or something for people.

    Raises StorageError where stdout does not take it; a reader who has seen enough is no error.
    """
    try:
        if isinstance(told, dict):
            click.echo(json.dumps(told))
        else:
            # No markup: names of files and labels may have brackets.
            Console(soft_wrap=True, highlight=False, markup=False).print(told)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StorageError(f"the result cannot be written to stdout: {error}") from error
