"""Which columns of the source are used: the task's fields bound to columns, and the columns kept.

A field that the job file does not name is read from the column of its own name. What is not there
is an error that lists what is, before anything starts.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from labelmill.config.nearness import nearest
from labelmill.errors import ConfigError
from labelmill.ops import json_types
from labelmill.ops.fields import Field, Kind, parse
from labelmill.ops.fields import flat as fields_of
from labelmill.plan.survey import Survey, columns_of

EXTRA = "extra_json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Task field -> column, which of the fields may be null, and which are no text."""

    columns: Mapping[str, str]
    optional: frozenset[str]
    kinds: Mapping[str, Kind] = dataclasses.field(default_factory=dict)


def bind(
    notations: Sequence[str],
    wanted: Mapping[str, str],
    schema: pa.Schema,
    *,
    sampled: bool = False,
) -> Binding:
    """Bind a task's fields, in the notation of `ops.fields`, to columns that are there.

    Where no column was seen at all, in shards that are empty or hold nothing but bad rows, the
    names are taken on trust. Of alternatives one is bound: the one that the job file names, else
    the first whose column is there. Where the schema is `sampled`, a field that may be absent is
    bound too: it may turn up later.
    """
    fields = fields_of(notations)
    _refuse_unknown(wanted, [field.name for field in fields])
    there = list(columns_of(schema))
    columns = {}
    for notation in notations:
        field = _chosen(notation, wanted, there)
        column = wanted.get(field.name, field.name)
        if column in there or (sampled and field.optional and field.name not in wanted):
            columns[field.name] = column
        elif field.name in wanted or not field.optional:
            if there:
                raise ConfigError(_missing(field.name, column, there, sampled=sampled))
            columns[field.name] = column
    return binding(notations, columns)


def binding(notations: Sequence[str], columns: Mapping[str, str]) -> Binding:
    """The binding of fields to columns that are known already."""
    fields = fields_of(notations)
    return Binding(
        columns=columns,
        optional=frozenset(field.name for field in fields if field.optional),
        kinds={field.name: field.kind for field in fields if field.kind != "text"},
    )


def _chosen(notation: str, wanted: Mapping[str, str], there: Sequence[str]) -> Field:
    """Of alternatives, the one that is meant; raises ConfigError where several are."""
    fields = parse(notation)
    named = [field for field in fields if field.name in wanted]
    if len(named) > 1:
        raise ConfigError(
            f"source.columns: {named[0].name!r} and {named[1].name!r} exclude each other; "
            "name one of them"
        )
    present = [field for field in fields if field.name in there]
    return (named or present or list(fields))[0]


def kept(survey: Survey, keep: str | Sequence[str], *, jsonl: bool) -> pa.Schema:
    """The input columns to carry, with their types.

    Where a schema of JSON Lines rests on a sample, or on nothing, one more column takes, as JSON
    text, what turns up later and fits no column; nothing of a row is lost.
    """
    if keep == "none":
        return pa.schema([])
    seen = survey.schema
    names = [n for n in seen.names if n not in survey.aside] if keep == "all" else list(keep)
    for name in names:
        if seen.names and name not in seen.names:
            absent = _absent(name, sampled=not survey.whole)
            raise ConfigError(f"source.keep: {absent}; {_hint(name, seen.names)}")
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


def _missing(name: str, column: str, there: Sequence[str], *, sampled: bool) -> str:
    return (
        f"source.columns.{name}: {_absent(column, sampled=sampled)}; {_hint(column, there)}; set "
        f"source.columns.{name} to the column that holds it"
    )


def _absent(column: str, *, sampled: bool) -> str:
    return f"no shard has a column {column!r}{' in its first rows' if sampled else ''}"


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
