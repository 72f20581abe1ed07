"""Which columns of the source are used: the task's fields bound to columns, and the columns kept.

A field that the job file does not name is read from the column of its own name. What is not there
is an error that lists what is, before anything starts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from labelmill.config.nearness import nearest
from labelmill.errors import ConfigError
from labelmill.ops import json_types
from labelmill.plan.survey import Survey, columns_of

EXTRA = "extra_json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Task field -> column, and which of the fields may be null."""

    columns: Mapping[str, str]
    optional: frozenset[str]


def bind(fields: Sequence[str], wanted: Mapping[str, str], schema: pa.Schema) -> Binding:
    """Bind a task's fields ("name", or "name?" where optional) to columns that are there.

    Where no column was seen at all, in shards that are empty or hold nothing but bad rows, the
    names are taken on trust.
    """
    optional = frozenset(name.removesuffix("?") for name in fields if name.endswith("?"))
    names = [name.removesuffix("?") for name in fields]
    _refuse_unknown(wanted, names)
    there = list(columns_of(schema))
    columns = {}
    for name in names:
        column = wanted.get(name, name)
        if column in there:
            columns[name] = column
        elif name in wanted or name not in optional:
            if there:
                raise ConfigError(_missing(name, column, there))
            columns[name] = column
    return Binding(columns=columns, optional=optional)


def kept(survey: Survey, keep: str | Sequence[str], *, jsonl: bool) -> pa.Schema:
    """The input columns to carry, with their types.

    Where a schema of JSON Lines rests on a sample, or on nothing, one more column takes, as JSON
    text, what turns up later and fits no column; nothing of a row is lost.
    """
    if keep == "none":
        return pa.schema([])
    seen = survey.schema
    names = seen.names if keep == "all" else list(keep)
    for name in names:
        if seen.names and name not in seen.names:
            raise ConfigError(
                f"source.keep: no shard has a column {name!r}; {_hint(name, seen.names)}"
            )
    columns = [seen.field(name) if seen.names else pa.field(name, pa.null()) for name in names]
    if jsonl and not (survey.whole and seen.names):
        columns.append(json_types.extra(_free(EXTRA, names)))
    schema = pa.schema(columns)
    return json_types.keeping_all(schema) if keep == "all" else schema


def _refuse_unknown(wanted: Mapping[str, str], names: Sequence[str]) -> None:
    for name in wanted:
        if name not in names:
            raise ConfigError(
                f"source.columns.{name}: the task has no such field; {_hint(name, names)}"
            )


def _missing(name: str, column: str, there: Sequence[str]) -> str:
    return (
        f"source.columns.{name}: no shard has a column {column!r}; {_hint(column, there)}; set "
        f"source.columns.{name} to the column that holds it"
    )


def _free(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _hint(name: str, there: Sequence[str]) -> str:
    near = nearest(name, there)
    if near:
        return f"did you mean {near[0]!r}?"
    listed = ", ".join(repr(column) for column in list(there)[:20])
    return f"there are {listed}" + (", ..." if len(there) > 20 else "")
