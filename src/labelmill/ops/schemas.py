"""Schemas: one schema for the shards of a run, and tables cast to it.

What one shard has and another lacks becomes null, and widths are promoted. Everything else is a
conflict, refused with its place. The order of the shards decides the order of
columns and struct fields and nothing else. Nothing here reads a file.
"""

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.types as pt

from labelmill.errors import InputError
from labelmill.ops.arrow_types import TypeConflict, join, plain
from labelmill.ops.list_views import without_list_views

# The metadata of a string column whose values are JSON text.
JSON_TEXT: Mapping[bytes, bytes] = {b"labelmill": b"json"}
# By plain type and whether it is JSON text: the shard that brought it first.
_Claims = dict[tuple[pa.DataType, bool], str]


def unify(schemas: Iterable[tuple[str, pa.Schema]]) -> pa.Schema:
    """One schema for the shards, given as (shard, its schema): all columns nullable and plain.

    Columns come in the order of their first appearance, without metadata but the mark of JSON text.
    JSON text agrees with JSON text only. Memory grows with the number of distinct schemas only.

    InputError: a conflict, naming column, both shards and both types; a shard with two columns of
    one name.
    """
    columns: dict[str, _Claims] = {}
    seen: set[bytes] = set()
    for shard, schema in schemas:
        known = schema.remove_metadata().serialize().to_pybytes()
        if known not in seen:
            seen.add(known)
            _claim(columns, shard, schema)
    return pa.schema([_column(name, claims) for name, claims in columns.items()])


def cast(table: pa.Table, schema: pa.Schema, *, source: str = "the table") -> pa.Table:
    """The table with the columns of `schema`: missing ones are null, others are left out.

    Only the promotions of `unify` are made. InputError, naming column and `source`, for another
    type or a value that does not fit: the shard is not the one that the schema was made from.
    """
    refuse_twins(source, table.schema)
    columns = [_cast_column(table, field, source) for field in schema]
    return pa.table(columns, schema=schema) if columns else table.select([])


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The same columns in plain layouts, nullable, without metadata but the mark of JSON text."""
    return pa.schema(
        [_field(field.name, plain(field.type), is_json=_is_json(field)) for field in schema]
    )


def refuse_twins(source: str, schema: pa.Schema) -> None:
    """InputError where two columns have one name: nobody could say which is meant."""
    if len(set(schema.names)) < len(schema.names):
        twin = next(name for name in schema.names if schema.names.count(name) > 1)
        raise InputError(
            f"{source}: more than one column is called {twin!r}; rename all but one of them"
        )


def _claim(columns: dict[str, _Claims], shard: str, schema: pa.Schema) -> None:
    refuse_twins(f"shard {shard!r}", schema)
    for field in schema:
        columns.setdefault(field.name, {}).setdefault((plain(field.type), _is_json(field)), shard)


def _is_json(field: pa.Field) -> bool:
    return JSON_TEXT.items() <= (field.metadata or {}).items()


def _field(name: str, kind: pa.DataType, *, is_json: bool) -> pa.Field:
    return pa.field(name, kind, metadata=dict(JSON_TEXT) if is_json else None)


def _column(name: str, claims: _Claims) -> pa.Field:
    try:
        return _agreed(name, claims)
    except TypeConflict as conflict:
        raise InputError(_complaint(conflict)) from conflict


def _agreed(name: str, claims: _Claims) -> pa.Field:
    """What all claims agree upon. JSON text agrees only with JSON text and with nulls."""
    marked = [(kind, shard) for (kind, is_json), shard in claims.items() if is_json]
    others = [(kind, shard) for (kind, is_json), shard in claims.items() if not is_json]
    valued = [claim for claim in others if not pt.is_null(claim[0])]
    if marked and valued:
        raise TypeConflict(name, valued[0], (pa.json_(), marked[0][1]))
    return _field(name, join(marked or others, name), is_json=bool(marked))


def _complaint(conflict: TypeConflict) -> str:
    (first, one), (second, other) = conflict.first, conflict.second
    place = f"column {conflict.path!r} is {first} in shard {one!r}"
    if conflict.first == conflict.second:
        return f"{place}; expected fields, each with a name of its own"
    return (
        f"{place} but {second} in shard {other!r}, and no type holds both exactly; "
        "rewrite one of the shards, or leave the column out with source.keep"
    )


def _cast_column(table: pa.Table, field: pa.Field, source: str) -> pa.ChunkedArray:
    if field.name not in table.column_names:
        return pa.chunked_array([pa.nulls(len(table), field.type)])
    column = table[field.name]
    if not _fits(column.type, field):
        raise InputError(
            f"{source}: column {field.name!r} is {column.type}, expected {field.type} as in the "
            "run's schema; restore the shard, or start a new run"
        )
    try:
        return without_list_views(column).cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"{source}: column {field.name!r} holds a value that is no {field.type} ({error}); "
            "mend the shard, or leave the column out with source.keep"
        ) from error


def _fits(kind: pa.DataType, field: pa.Field) -> bool:
    wanted = plain(field.type)
    try:
        # The wanted type first: the fields of a struct stand in the order of the first.
        return bool(join([(wanted, ""), (plain(kind), "")], field.name) == wanted)
    except TypeConflict:
        return False
