"""Showing: what came out of the demo's job, as a person wants to see it.

It reads the output as any other program would, with pyarrow alone, and gets the rejects handed in.
"""

import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from rich.console import Console
from rich.markup import escape
from rich.table import Table

Rejected = tuple[str, int, str, str | None]  # shard, position in it, reason, text

_INTERNAL = "_labelmill"
_TEXT = 56  # characters of an example


def labelled(console: Console, output: Path, rejects: Iterable[Rejected]) -> None:
    """Labels with their rows, mean scores and surest examples; then the rejects."""
    console.print(_labels(read(output)))
    console.print(_rejects(rejects))


def places(console: Console, directory: Path) -> None:
    """Where everything lies, and what to try next."""
    output = directory / "labelled"
    console.print(f"[bold]corpus[/bold]   {escape(str(directory / 'corpus'))}")
    console.print(
        f"[bold]model[/bold]    {escape(str(directory / 'model'))}  (a card and a page about it "
        "lie there)"
    )
    console.print(f"[bold]job[/bold]      {escape(str(directory / 'job.yaml'))}")
    console.print(
        f"[bold]labelled[/bold] {escape(str(output))}  (receipts and rejects in {_INTERNAL}/)"
    )
    console.print("\nTry next:")
    for command in commands(directory):
        console.print(f"  {escape(command)}", soft_wrap=True)


def commands(directory: Path) -> tuple[str, ...]:
    """Lines for a shell, as they stand."""
    output, job = (shlex.quote(str(directory / name)) for name in ("labelled", "job.yaml"))
    parts = str(directory / "labelled" / "**" / "*.parquet").replace("'", "''")
    query = f"select label, count(*) from '{parts}' group by 1"  # noqa: S608 - shown, never run
    labelmill = _program("labelmill")
    return (
        f"{labelmill} status {output}",
        f"{labelmill} verify {output} --source",
        f"{labelmill} label {job}",
        f"{labelmill} evaluate {output} --gold chapter --by module",
        f"{_program('python')} -c {shlex.quote(f'import duckdb; print(duckdb.sql({query!r}))')}",
    )


def _program(name: str) -> str:
    """A program beside this Python: its name where a shell finds that very one, else its path."""
    beside = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    return name if found is not None and Path(found) == beside else shlex.quote(str(beside))


def read(output: Path) -> pa.Table:
    """The labelled rows: text, module, qualname, label and score of every part."""
    parts = sorted(
        str(path)
        for path in output.rglob("*.parquet")
        if _INTERNAL not in path.relative_to(output).parts
    )
    return ds.dataset(parts, format="parquet").to_table(
        ["module", "qualname", "text", "label", "score"]
    )


def _labels(rows: pa.Table) -> Table:
    table = Table(title=f"{len(rows):,} rows labelled", title_justify="left")
    table.add_column("label")
    table.add_column("rows", justify="right")
    table.add_column("mean score", justify="right")
    table.add_column("surest example")
    counted = rows.group_by("label").aggregate([("score", "count"), ("score", "mean")])
    for group in counted.sort_by([("score_count", "descending")]).to_pylist():
        example = _surest(rows, group["label"])
        table.add_row(
            group["label"],
            f"{group['score_count']:,}",
            f"{group['score_mean']:.2f}",
            escape(example),
        )
    return table


def _surest(rows: pa.Table, label: str) -> str:
    of_label = rows.filter(pc.equal(rows["label"], label))
    best = (
        of_label.sort_by([("score", "descending"), ("module", "ascending")])
        .slice(0, 1)
        .to_pylist()[0]
    )
    where = ".".join(filter(None, (best["module"], best["qualname"])))
    return f"{where}: {_first_line(best['text'])}"


def _rejects(rejects: Iterable[Rejected]) -> Table:
    found = sorted(rejects, key=lambda reject: reject[:2])
    table = Table(title=f"{len(found):,} rows rejected", title_justify="left")
    for name in ("shard", "position", "reason", "text"):
        table.add_column(name)
    for shard, position, reason, text in found:
        table.add_row(
            escape(shard), f"{position:,}", escape(reason), escape(_first_line(text or ""))
        )
    return table


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _TEXT else line[: _TEXT - 3] + "..."
