"""Dry run: what a job would do, as this machine would do it, for people and as JSON."""

from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from labelmill.ledger.status import Status
from labelmill.masking import masked
from labelmill.plan.plan import Plan

_LISTED = 20  # shards by name


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """The plan beside the run that is there, if one is."""

    plan: Plan
    status: Status | None
    mine: frozenset[str]  # shards of this job's slice
    replicas: str

    def pending(self) -> list[str]:
        """Shards that this job would work on."""
        done = (
            {line.path for line in self.status.shard_lines if line.done} if self.status else set()
        )
        return [s.path for s in self.plan.listing.shards if s.path in self.mine - done]

    def splits(self) -> int | None:
        """At least so many; of a run that is there all, None while nobody knows."""
        if self.status is None:
            return _least_splits(self.plan)
        known = {line.path for line in self.status.shard_lines}
        listed = {shard.path for shard in self.plan.listing.shards}
        return self.status.splits if listed <= known else None

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        plan, status = self.plan, self.status
        return {
            "output": plan.job.output.path,
            "resumes": plan.resumes,
            "task": plan.job.task,
            "model": masked(plan.checkpoint.source),
            "engine": plan.resolved.engine,
            "precision": plan.resolved.precision,
            "device": plan.resolved.device,
            "replicas": self.replicas,
            "shards": len(plan.listing.shards),
            "shards_pending": len(self.pending()),
            "bytes": sum(shard.size for shard in plan.listing.shards),
            "rows": plan.reading.rows,
            "split_rows": plan.manifest.rule.split_rows,
            "split_bytes": plan.manifest.rule.split_bytes,
            "splits": self.splits(),
            "splits_done": status.splits_done if status else 0,
            "rows_done": status.rows_read if status else 0,
            "foreign": [masked(url) for url in plan.listing.foreign],
            "unreadable": dict(plan.reading.unreadable),
            "schema": {field.name: str(field.type) for field in plan.manifest.schema},
        }

    def render(self) -> RenderableType:
        """For people."""
        told = self.to_json()
        table = Table(box=SIMPLE, show_header=False)
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for name, value in _lines(told):
            table.add_row(name, value)
        columns = Table(Column("column of the output", overflow="fold"), "type", box=SIMPLE)
        for name, kind in told["schema"].items():
            columns.add_row(Text(name), Text(kind))
        return Group(table, columns, *_notes(self, told))


def _lines(told: dict[str, Any]) -> list[tuple[str, str]]:
    rows, splits = (
        "only reading can tell" if told[name] is None else f"{told[name]:,}"
        for name in ("rows", "splits")
    )
    least = "" if told["resumes"] else "at least "
    return [
        (
            "output",
            f"{told['output']} ({'goes on with the run there' if told['resumes'] else 'new run'})",
        ),
        ("task", told["task"]),
        ("model", f"{told['model']} ({told['precision']}, {told['engine']}, {told['device']})"),
        ("replicas", told["replicas"]),
        (
            "shards",
            f"{told['shards']:,} ({told['bytes']:,} bytes), {told['shards_pending']:,} pending",
        ),
        ("rows", f"{rows}; {told['rows_done']:,} done"),
        ("splits", f"{least}{splits}; {told['splits_done']:,} done"),
        ("a split", f"at most {told['split_rows']:,} rows and {told['split_bytes']:,} bytes"),
    ]


def _notes(dry: DryRun, told: dict[str, Any]) -> list[Text]:
    notes = [Text(f"pending: {path}") for path in dry.pending()[:_LISTED]]
    if len(dry.pending()) > _LISTED:
        notes.append(Text(f"pending: ... and {len(dry.pending()) - _LISTED:,} more"))
    notes += [
        Text(f"not of a known format, left alone: {path}") for path in told["foreign"][:_LISTED]
    ]
    notes += [Text(f"cannot be opened: {path}: {why}") for path, why in told["unreadable"].items()]
    return notes


def _least_splits(plan: Plan) -> int:
    """What the two bounds make certain: at least one a shard, and no split above either bound."""
    rule, shards = plan.manifest.rule, plan.listing.shards
    by_rows = 0 if plan.reading.rows is None else -(-plan.reading.rows // rule.split_rows)
    return max(len(shards), by_rows)
