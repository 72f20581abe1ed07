"""Survey: what the shards of a source hold, from footers and heads, before all is read.

Every footer or header is read; of JSON Lines and tar archives, which have none, an even sample of
shards is looked into. A shard that cannot be looked into is listed, and left to the job to report
as damaged.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from labelmill import threads
from labelmill.errors import InputError
from labelmill.formats import Format, Inspection
from labelmill.ops import json_types, plugins, schemas
from labelmill.ops.class_labels import Names
from labelmill.splits import Shard

JSONL = "jsonl"
_OF_SAMPLES = (JSONL, "webdataset")  # what a shard holds is told by nothing but its rows
_SAMPLED = 64  # shards of such formats whose heads are read
_THREADS = 32  # a footer of an object store is waiting, not work


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What was found."""

    schema: pa.Schema  # the columns of all shards together
    whole: bool  # False where it rests on samples: a field may turn up that it does not have
    rows: int | None  # None where only reading can tell
    unreadable: Mapping[str, str] = field(default_factory=dict)  # shard path -> reason
    aside: frozenset[str] = frozenset()  # columns that are kept only where they are named
    names: Names = field(default_factory=dict)  # of numbers, in columns of class labels
    torn: frozenset[str] = frozenset()  # such columns of which two shards have other names


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Which columns a job uses. One that it does not use may have any types."""

    texts: frozenset[str]  # what the fields are read from, with dots: an odd value is a bad row
    kept: frozenset[str] | None  # None: all

    def needs(self, column: str) -> bool:
        """Whether the shards must agree on this top-level column."""
        roots = {path.partition(".")[0] for path in self.texts} | self.texts
        return self.kept is None or column in self.kept or column in roots


def survey(shards: Sequence[Shard], use: Use, *, need_one: bool = True) -> Survey:
    """Look into the shards; raises InputError where two do not fit one schema.

    Where none opens too, as nobody knows the columns then; but for `need_one` False.
    """
    chosen = _chosen(shards)
    found = _Found()
    unreadable: dict[str, str] = {}
    for shard, seen in threads.spread(_inspect, chosen, _THREADS):
        if isinstance(seen, Inspection):
            found.add(shard, seen)
        else:
            unreadable[shard.path] = str(seen)
    if need_one and not found.kinds:
        path, reason = next(iter(unreadable.items()))
        raise InputError(
            f"none of {len(chosen)} shards can be opened; the first, {path!r}: {reason}"
        )
    return _united(found, unreadable, use, complete=len(chosen) == len(shards))


class _Found:
    """Inspections, one of each kind: a hundred thousand shards differ in little but their rows."""

    def __init__(self) -> None:
        self._kinds: dict[object, tuple[Shard, Inspection]] = {}
        self.rows: int | None = 0  # None where only reading can tell

    def add(self, shard: Shard, seen: Inspection) -> None:
        schema, names = seen.schema.serialize().to_pybytes(), tuple(seen.names.items())
        kind = (shard.format == JSONL, schema, seen.whole, seen.aside, names)
        self._kinds.setdefault(kind, (shard, seen))
        self.rows = None if self.rows is None or seen.rows is None else self.rows + seen.rows

    @property
    def kinds(self) -> list[tuple[Shard, Inspection]]:
        """The first of each, in the order of the shards."""
        return list(self._kinds.values())


def _united(
    found: _Found,
    unreadable: Mapping[str, str],
    use: Use,
    *,
    complete: bool,
) -> Survey:
    kinds = found.kinds
    return Survey(
        schema=_unite(kinds, use),
        whole=complete and all(seen.whole for _, seen in kinds),
        rows=found.rows if complete and not unreadable else None,
        unreadable=unreadable,
        aside=frozenset(name for _, seen in kinds for name in seen.aside),
        names={column: names for _, seen in kinds for column, names in seen.names.items()},
        torn=_torn(seen.names for _, seen in kinds),
    )


def _torn(found: Iterable[Names]) -> frozenset[str]:
    said: dict[str, set[tuple[str, ...]]] = {}
    for one in found:
        for column, names in one.items():
            said.setdefault(column, set()).add(names)
    return frozenset(column for column, several in said.items() if len(several) > 1)


def _unite(found: list[tuple[Shard, Inspection]], use: Use) -> pa.Schema:
    """JSON values that disagree become JSON text; Parquet columns that disagree are an error."""
    lines = [seen.schema for shard, seen in found if shard.format == JSONL]
    tables = [(shard.path, seen.schema) for shard, seen in found if shard.format != JSONL]
    united = _unite_lines(lines, use) if lines else pa.schema([])
    if not tables:
        return united
    known = {column.name for _, schema in tables for column in schema}
    if lines:
        first = next(shard.path for shard, _ in found if shard.format == JSONL)
        tables.append((first, united))
    needed = schemas.unify(
        (path, pa.schema([column for column in schema if use.needs(column.name)]))
        for path, schema in tables
    )
    others = {c.name: c for _, schema in reversed(tables) for c in schema if not use.needs(c.name)}
    # What lines alone have stays as it is: `schemas` does not know of JSON text inside a struct.
    own = {column.name: column for column in united if column.name not in known}
    return pa.schema([*(own.get(column.name, column) for column in needed), *others.values()])


def _unite_lines(found: Sequence[pa.Schema], use: Use) -> pa.Schema:
    columns: dict[str, pa.Field] = {}
    for column in (column for schema in found for column in schema):
        known = columns.get(column.name)
        columns[column.name] = column if known is None else json_types.unify(known, column)
    return pa.schema([_text(column, column.name, use.texts) for column in columns.values()])


def _text(column: pa.Field, path: str, texts: frozenset[str]) -> pa.Field:
    """The column as a string where it is a field's: a value that is none makes its row bad."""
    if path in texts:
        return pa.field(column.name, pa.string())
    if not pa.types.is_struct(column.type):
        return column
    inner = [_text(child, f"{path}.{child.name}", texts) for child in column.type.fields]
    return column.with_type(pa.struct(inner))


def _chosen(shards: Sequence[Shard]) -> list[Shard]:
    sampled = [shard for shard in shards if shard.format in _OF_SAMPLES]
    if len(sampled) > _SAMPLED:
        places = np.unique(np.linspace(0, len(sampled) - 1, _SAMPLED).astype(int))
        sampled = [sampled[place] for place in places]
    return sampled + [shard for shard in shards if shard.format not in _OF_SAMPLES]


def _inspect(shard: Shard) -> Inspection | InputError:
    module: Format = plugins.load("labelmill.formats", shard.format)
    try:
        return module.inspect(shard)
    except InputError as error:
        return error


def columns_of(schema: pa.Schema) -> Iterator[str]:
    """Every column a field can be bound to; nested ones with dots."""
    for column in schema:
        yield from _below(column, "")


def _below(column: pa.Field, prefix: str) -> Iterator[str]:
    yield prefix + column.name
    if pa.types.is_struct(column.type):
        for child in column.type.fields:
            yield from _below(child, f"{prefix}{column.name}.")
