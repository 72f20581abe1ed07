"""Fields: the notation in which a task says what it needs of a row.

    "text"            a string, never null
    "text_pair?"      a string that may be null or absent
    "words:json"      any JSON value, handed on as JSON text: lists of words, chat messages
    "image:media"     bytes, or where they lie, handed on as struct<bytes, path>
    "text|words:json" one of the two, whichever the source has

The kinds decide how a format reads a column and what reaches the task's `encode`: large_string for
text and json; large_binary for media, whose paths have been followed by then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import pyarrow as pa

Kind = Literal["text", "json", "media"]

MEDIA = pa.struct([("bytes", pa.large_binary()), ("path", pa.large_string())])
TYPES: dict[Kind, pa.DataType] = {
    "text": pa.large_string(), "json": pa.large_string(), "media": MEDIA,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One thing that a task needs of a row."""

    name: str
    kind: Kind = "text"
    optional: bool = False


def parse(notation: str) -> tuple[Field, ...]:
    """The alternatives of one entry of `Task.fields`."""
    return tuple(_one(part) for part in notation.split("|"))


def flat(notations: Sequence[str]) -> tuple[Field, ...]:
    """Every field of a task, alternatives side by side."""
    return tuple(field for notation in notations for field in parse(notation))


def _one(part: str) -> Field:
    name, _, kind = part.removesuffix("?").partition(":")
    kind = kind or "text"
    if kind not in get_args(Kind):
        raise AssertionError(f"a field of unknown kind: {part!r}")
    return Field(name=name, kind=cast("Kind", kind), optional=part.endswith("?"))
