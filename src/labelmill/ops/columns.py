"""Columns of the output: what is kept, what the task adds, and in what order they stand."""

from collections import Counter

import pyarrow as pa

from labelmill.errors import ConfigError

POSITION = pa.field("position", pa.int64())
ERROR = pa.field("error", pa.string())


def output_schema(
    kept: pa.Schema, added: pa.Schema, *, prefix: str, position: bool, error: bool
) -> pa.Schema:
    """The schema of every part: kept columns, added ones, `position`, `error`.

    All but the kept names carry the prefix, and all but the kept columns are nullable and free of
    metadata. ConfigError where two columns would have one name.
    """
    ours = [*added, *([POSITION] if position else []), *([ERROR] if error else [])]
    fields = [pa.field(prefix + field.name, field.type) for field in ours]
    _refuse_clashes(kept.names, [field.name for field in fields], prefix)
    return pa.schema([*kept, *fields])


def _refuse_clashes(kept: list[str], ours: list[str], prefix: str) -> None:
    for name in ours:
        if name in kept:
            raise ConfigError(
                f"output.prefix: column {name!r} would be added, but the source has one of that "
                f"name (output.prefix: {prefix!r}); set output.prefix, or leave the source's "
                "column out with source.keep"
            )
    for name, count in Counter(ours).items():
        if count > 1:
            raise ConfigError(
                f"output: column {name!r} would be added {count} times; turn off output.position, "
                "or set on_bad_row to 'reject' where that column is the error"
            )
