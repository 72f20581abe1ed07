"""The two streams: results on stdout, everything else on stderr."""

import json
from typing import Any

import click
from rich.console import Console, RenderableType


def note(text: str) -> None:
    """Print a line for people that is no result."""
    click.echo(f"labelmill: {text}", err=True)


def result(told: RenderableType | dict[str, Any]) -> None:
    """Print the command's result: one JSON object, or something for people."""
    if isinstance(told, dict):
        click.echo(json.dumps(told))
    else:
        Console(soft_wrap=True, highlight=False).print(told)
