"""Survey: what the shards of a source hold, from footers and heads, before all is read.

Every Parquet footer is read; of JSON Lines, which have none, an even sample of shards is looked
into. A shard that cannot be looked into is listed, and left to the job to report as damaged.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from labelmill.errors import InputError
from labelmill.formats import Format, Inspection
from labelmill.ops import plugins, schemas
from labelmill.splits import Shard

JSONL = "jsonl"
_SAMPLED = 64  # JSON Lines shards whose heads are read
_THREADS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What was found."""

    schema: pa.Schema  # the columns of all shards together
    whole: bool  # False where it rests on samples: a field may turn up that it does not have
    rows: int | None  # None where only reading can tell
    unreadable: Mapping[str, str] = field(default_factory=dict)  # shard path -> reason


def survey(shards: Sequence[Shard]) -> Survey:
    """Look into the shards; raises InputError where two do not fit one schema, or none opens."""
    chosen = _chosen(shards)
    found: list[tuple[Shard, Inspection]] = []
    unreadable: dict[str, str] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        for shard, seen in zip(chosen, pool.map(_inspect, chosen), strict=True):
            if isinstance(seen, Inspection):
                found.append((shard, seen))
            else:
                unreadable[shard.path] = str(seen)
    if not found:
        path, reason = next(iter(unreadable.items()))
        raise InputError(
            f"none of {len(chosen)} shards can be opened; the first, {path!r}: {reason}"
        )
    return _united(found, unreadable, complete=len(chosen) == len(shards))


def _united(
    found: list[tuple[Shard, Inspection]], unreadable: Mapping[str, str], *, complete: bool
) -> Survey:
    rows = [seen.rows for _, seen in found]
    known = complete and not unreadable and all(count is not None for count in rows)
    return Survey(
        schema=_unite(found),
        whole=complete and all(seen.whole for _, seen in found),
        rows=sum(count for count in rows if count is not None) if known else None,
        unreadable=unreadable,
    )


def _unite(found: list[tuple[Shard, Inspection]]) -> pa.Schema:
    """JSON values that disagree become JSON text; Parquet columns that disagree are an error."""
    families = []
    for jsonl in (True, False):
        family = [(s.path, seen.schema) for s, seen in found if (s.format == JSONL) is jsonl]
        if family:
            united = schemas.unify(family, on_conflict="json" if jsonl else "refuse")
            families.append((family[0][0], united))
    return families[0][1] if len(families) == 1 else schemas.unify(families)


def _chosen(shards: Sequence[Shard]) -> list[Shard]:
    sampled = [shard for shard in shards if shard.format == JSONL]
    if len(sampled) > _SAMPLED:
        places = np.unique(np.linspace(0, len(sampled) - 1, _SAMPLED).astype(int))
        sampled = [sampled[place] for place in places]
    return sampled + [shard for shard in shards if shard.format != JSONL]


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
