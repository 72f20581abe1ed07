"""Summary: the closing table of a job, and the table of `labelmill status`."""

from datetime import timedelta

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from labelmill.ledger.status import Status

_REASONS = 10


def summary(status: Status) -> RenderableType:
    """What a person wants to know of a run."""
    parts: list[RenderableType] = [_numbers(status)]
    if status.rejects_by_reason:
        parts.append(_rejects(status))
    if status.damage:
        parts.append(_damage(status))
    return Group(*parts)


def _numbers(status: Status) -> Table:
    table = Table(box=SIMPLE, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right", overflow="fold")
    splits = "?" if status.splits is None else f"{status.splits:,}"
    for name, value in (
        ("run", status.output),
        ("state", _state(status)),
        ("rows read", f"{status.rows_read:,}"),
        ("rows labelled", f"{status.rows_labelled:,}"),
        ("rows rejected", f"{status.rows_rejected:,}"),
        ("rows repeated", _repeated(status)),
        ("shards done", f"{status.totals.shards_done:,} of {status.shards:,}"),
        ("shards damaged", f"{status.shards_damaged:,}"),
        ("splits done", f"{status.splits_done:,} of {splits}"),
        ("tokens", f"{status.tokens:,} ({status.padding_fraction:.1%} padding)"),
        ("time", str(timedelta(seconds=round(status.seconds)))),
        (
            "speed",
            f"{status.rows_per_second:,.1f} rows/s, {status.tokens_per_second:,.0f} tokens/s",
        ),
        ("attempts", f"{status.attempts:,}"),
        *_model(status),
    ):
        table.add_row(name, value)
    return table


def _repeated(status: Status) -> str:
    """Rows of which a model sees only the first, and their share."""
    share = status.rows_repeated / status.rows_read if status.rows_read else 0.0
    return f"{status.rows_repeated:,} ({share:.1%}, predicted once)"


def _state(status: Status) -> str:
    if status.complete:
        return "whole"
    return "not whole; run the same job again to go on"


def _model(status: Status) -> list[tuple[str, str]]:
    settings, told = status.manifest.settings, status.manifest.provenance
    found = [
        ("agreement with float32", f"{check['agreement']:.1%} of {check['rows']:.0f} rows")
        for check in status.agreement.values()
    ]
    lines = [
        ("model", f"{told['model']} ({settings['model.precision']}, {settings['model.engine']})")
    ]
    return [*lines, *found[-1:]]


def _rejects(status: Status) -> Table:
    table = Table("rejected because", "rows", box=SIMPLE)
    for reason, count in list(status.rejects_by_reason.items())[:_REASONS]:
        table.add_row(Text(reason), f"{count:,}")
    return table


def _damage(status: Status) -> Text:
    lines = ["damaged shards:"]
    for placed in status.damage[:_REASONS]:
        stop = "its end" if placed.piece.stop is None else f"{placed.piece.stop:,}"
        place = f"from {placed.piece.start:,} to {stop}"
        lines.append(f"  {placed.shard!r}, {place}: {placed.piece.reason}")
    if len(status.damage) > _REASONS:
        lines.append("  ... `labelmill status --damage` lists all")
    return Text("\n".join(lines))
