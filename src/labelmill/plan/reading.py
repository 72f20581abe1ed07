"""Reading: how the source of a job is read: which columns, of which types, or lines as they are.

A new run looks into its shards. A run that is there is read as its manifest says; only shards that
are new to it, or not what it recorded, are looked into, and refused where they do not fit its
schema.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from labelmill.config.job import LabelJob
from labelmill.errors import ConfigError, InputError
from labelmill.formats import PartFormat
from labelmill.ledger.manifest import Manifest
from labelmill.ledger.opening import unseen
from labelmill.ops import plugins, schemas
from labelmill.ops.columns import output_schema, refuse_lookalikes, refuse_partitions
from labelmill.ops.fields import flat
from labelmill.plan.columns import Binding, bind, binding, kept
from labelmill.plan.survey import JSONL, Use, survey
from labelmill.splits import Shard
from labelmill.storage import open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The decisions about the source."""

    binding: Binding
    kept: pa.Schema
    raw: bool  # JSON Lines to JSON Lines with all fields kept: lines are carried as they are
    rows: int | None = None  # where footers tell
    unreadable: Mapping[str, str] = field(
        default_factory=dict
    )  # shard -> why it could not be looked into


def first_reading(
    job: LabelJob, fields: tuple[str, ...], added: pa.Schema, shards: tuple[Shard, ...]
) -> Reading:
    """For a new run.

    Raises ConfigError for columns that are absent or clash with added ones, InputError for one
    that the output cannot hold.
    """
    names = [field.name for field in flat(fields) if field.kind == "text"]
    texts = frozenset(job.source.columns.get(name, name) for name in names)
    found = survey(shards, Use(texts=texts, kept=_kept_names(job)))
    jsonl = [shard.format == JSONL for shard in shards]
    raw = job.output.format == JSONL and all(jsonl) and job.source.keep == "all"
    carried = kept(found, job.source.keep, jsonl=any(jsonl))
    _refuse_clash(job, found.schema if raw else carried, added, shards)
    if not raw:
        _refuse_unwritable(job.output.format, carried)
    return Reading(
        binding=bind(fields, job.source.columns, found.schema, sampled=not found.whole),
        kept=pa.schema([]) if raw else carried,
        raw=raw,
        rows=found.rows,
        unreadable=found.unreadable,
    )


def next_reading(
    job: LabelJob, fields: tuple[str, ...], standing: Manifest, shards: tuple[Shard, ...]
) -> Reading:
    """For a run that is there.

    Raises InputError for a shard, new or replaced, that its schema cannot hold.
    """
    settings = standing.settings
    names = [field.name for field in flat(fields)]
    bound = {name: settings.get(f"source.columns.{name}") for name in names} | dict(
        job.source.columns
    )
    raw = bool(settings["output.raw"])
    columns = {name: column for name, column in bound.items() if column is not None}
    texts = {field.name for field in flat(fields) if field.kind == "text"}
    use = Use(
        texts=frozenset(column for name, column in columns.items() if name in texts),
        kept=_kept_names(job),
    )
    unreadable = _refuse_misfits(job, standing, shards, use)
    return Reading(
        binding=binding(fields, columns),
        kept=standing.source_schema,
        raw=raw,
        unreadable=unreadable,
    )


def _kept_names(job: LabelJob) -> frozenset[str] | None:
    keep = job.source.keep
    return None if keep == "all" else frozenset(() if keep == "none" else keep)


def _refuse_clash(
    job: LabelJob, columns: pa.Schema, added: pa.Schema, shards: tuple[Shard, ...]
) -> None:
    position, error = job.output.position, job.source.on_bad_row == "null"
    schema = output_schema(columns, added, prefix=job.output.prefix, position=position, error=error)
    ours = schema.names[len(columns) :]
    refuse_lookalikes(columns.names, ours)
    refuse_partitions((shard.path for shard in shards), ours)


def _refuse_unwritable(part_format: str, carried: pa.Schema) -> None:
    """Raise InputError for a type that parts have no form for, before a row is labelled."""
    module: PartFormat = plugins.load("labelmill.formats", part_format)
    module.write(carried.empty_table(), {}, None)


def _refuse_misfits(
    job: LabelJob, standing: Manifest, shards: tuple[Shard, ...], use: Use
) -> Mapping[str, str]:
    new = unseen(open_store(job.output.path), shards)
    if not new or job.source.keep == "none":
        return {}
    if standing.settings["output.raw"]:
        _refuse_other_formats(new)
        return {}
    found = survey(new, use, need_one=False)  # the run knows its columns
    # What JSON Lines hold beyond the schema is the reader's to judge, row by row.
    columns = [
        c
        for c in found.schema
        if job.source.keep == "all" or c.name in standing.source_schema.names
    ]
    if all(shard.format == JSONL for shard in new):
        return found.unreadable
    run = pa.schema(standing.source_schema)
    together = schemas.unify([("the run", run), (new[0].path, pa.schema(columns))])
    grown = [
        c.name for c in together if c.name not in run.names or c.type != run.field(c.name).type
    ]
    if grown:
        raise InputError(
            f"column {grown[0]!r} of new or replaced shards (such as {new[0].path!r}) does "
            "not fit the run's schema, which is fixed; use a new output directory, or keep named "
            "columns only (source.keep)"
        )
    return found.unreadable


def _refuse_other_formats(new: list[Shard]) -> None:
    for shard in new:
        if shard.format != JSONL:
            raise ConfigError(
                f"shard {shard.path!r} is {shard.format}, but the run carries lines of JSON Lines "
                "as they are; use a new output directory"
            )
