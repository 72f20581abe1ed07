"""Formats: read the splits of a shard, write a part. One module a format, found by its name.

A module under this package is a format when it defines SUFFIXES; its name is the format's name.
`Format` says what such a module must have, `PartFormat` what more one has that parts can be of.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from labelmill.ops.class_labels import Names
from labelmill.ops.fields import Kind
from labelmill.splits import Break, CutRule, Rows, Shard, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """What to read of a shard, and how it is cut."""

    rule: CutRule
    fields: Mapping[str, str]  # task field -> column; dots reach into structs / nested objects
    optional: frozenset[str] = frozenset()  # fields that may be null or missing
    kinds: Mapping[str, Kind] = field(default_factory=dict)  # of fields that are no text
    # Input columns to carry, with the run's types.
    kept: pa.Schema = field(default_factory=lambda: pa.schema([]))
    # JSON Lines only: carry each line's bytes as the kept column "line" instead of `kept`.
    raw: bool = False
    # With `raw`: names that the output adds; a line that has one is a reject.
    reserved: frozenset[str] = frozenset()
    done: Mapping[int, Split] = field(default_factory=dict)  # splits not to be read again, by index

    @property
    def has_media(self) -> bool:
        """Whether a field holds media."""
        return "media" in self.kinds.values()


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRows:
    """One split as read: its rows, and the broken pieces of the shard before or inside it."""

    split: Split
    rows: Rows
    breaks: tuple[Break, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What is known of a shard without reading it through."""

    schema: pa.Schema  # of the input columns
    rows: int | None  # None where only reading can tell
    whole: bool  # False where the schema rests on a sample
    # Columns so large that they are carried to the output only where the job names them.
    aside: frozenset[str] = frozenset()
    names: Names = field(default_factory=dict)  # of numbers, in columns of class labels


class Format(Protocol):
    """What a format module must have."""

    # Lower case, compression included, e.g. ".jsonl.gz"; none where the job has to name the format.
    SUFFIXES: tuple[str, ...]

    def inspect(self, shard: Shard) -> Inspection:
        """Schema and size of a shard from its footer or its head; raises InputError on damage."""
        ...

    def read(self, shard: Shard, request: ReadRequest) -> Iterator[SplitRows]:
        """The splits of a shard that are not done, front to back, each byte read once."""
        ...

    def count(self, shard: Shard) -> int:
        """Rows of a shard, without trust in any ledger; raises InputError on damage."""
        ...


class PartFormat(Format, Protocol):
    """What a format module must have, so that parts can be of it."""

    def write(
        self, table: pa.Table, provenance: Mapping[str, str], line: pa.ChunkedArray | None
    ) -> bytes:
        """The bytes of a part: a function of the arguments alone."""
        ...

    def part_rows(self, data: bytes) -> int:
        """Rows of a part, from its own bytes; raises InputError where they are no such part."""
        ...
