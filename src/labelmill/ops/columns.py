"""Columns of the output: what is kept, what the task adds, and in what order they stand."""

from collections import Counter
from collections.abc import Iterable

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


def refuse_lookalikes(kept: Iterable[str], ours: Iterable[str]) -> None:
    """ConfigError where two names differ in case alone.

    DuckDB and Spark take them for one: asked for `label`, DuckDB gives the source's `Label`.
    """
    folded = {name.casefold(): name for name in kept}
    for name in ours:
        other = folded.get(name.casefold(), name)
        if other != name:
            raise ConfigError(
                f"output.prefix: column {name!r} would be added, but the source has {other!r}, "
                "which DuckDB and Spark take for the same; set output.prefix, or leave the "
                "source's column out with source.keep"
            )


def refuse_partitions(paths: Iterable[str], ours: Iterable[str]) -> None:
    """ConfigError where folders of the shards, `label=1/`, are read as a column that is added."""
    folded = {name.casefold() for name in ours}
    for path in paths:
        for folder in path.split("/")[:-1]:
            key, equals, _ = folder.partition("=")
            if equals and key.casefold() in folded:
                raise ConfigError(
                    f"output.prefix: column {key.casefold()!r} would be added, but the folder "
                    f"{folder!r} of shard {path!r} is read as a column of that name; set "
                    "output.prefix"
                )


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
