"""Options: what several commands take, and what is said of it."""

from collections.abc import Callable
from typing import TypeVar

import click
from typing_extensions import override

_F = TypeVar("_F", bound=Callable[..., object])


def overriding(example: str) -> Callable[[_F], _F]:
    """The option `--set`, with an example that suits the command."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help=f"Override a setting of the job file, e.g. --set {example}. May be repeated.",
    )


JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
VERBOSE = click.option(
    "-v", "--verbose", is_flag=True, help="Show what Ray and the replicas say, too."
)


class SliceType(click.ParamType[tuple[int, int]]):
    """`i/N`, counted from 1."""

    name = "i/N"

    @override
    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """(i - 1, N); fails where it is not 1 <= i <= N."""
        if isinstance(value, tuple):
            return value
        number, _, count = str(value).partition("/")
        if number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
            return int(number) - 1, int(count)
        message = f"{value!r} is no slice; expected i/N with 1 <= i <= N, e.g. 1/4"
        raise click.BadParameter(message, ctx=ctx, param=param)
