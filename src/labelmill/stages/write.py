"""Write: the last stage. A labelled parcel in, a committed part and its receipt out.

Here a bad row meets the job's will: left out, kept with null labels, or the end of the job. The
bytes of a part are a function of the split and the recipe alone.
"""

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from labelmill.errors import RowRefused
from labelmill.formats import PartFormat
from labelmill.ledger.commit import commit
from labelmill.ledger.receipt import Receipt, part_name
from labelmill.ops import plugins
from labelmill.plan.recipe import OutputRecipe, Recipe
from labelmill.splits import Reject, Rows
from labelmill.stages.parcel import Head, Parcel
from labelmill.storage import open_store

TEXT_LIMIT = 1000  # characters of a reject's text that the ledger keeps


def write(parcel: Parcel, recipe: Recipe) -> Receipt | None:
    """Commit the parcel; None where it was skipped, or where an older attempt has won the name."""
    if parcel.head.skipped:
        return None
    started = time.perf_counter()
    rows = _judged(parcel)
    rejects = _rejects(rows, recipe.output)
    if rejects and recipe.output.on_bad_row == "fail":
        raise RowRefused(_complaint(parcel.head, rejects[0]))
    composed = compose(rows, parcel, recipe)
    module: PartFormat = plugins.load("labelmill.formats", recipe.output.format)
    data = module.write(composed.table, recipe.output.provenance, composed.line)
    receipt = _receipt(
        parcel.took("write", time.perf_counter() - started), recipe, rejects, len(rows)
    )
    return commit(open_store(recipe.output.url), receipt, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """What goes into a part: its columns, and for JSON Lines the raw line they are added to."""

    table: pa.Table
    line: pa.ChunkedArray | None


def compose(rows: Rows, parcel: Parcel, recipe: Recipe) -> Composed:
    """Kept columns, added columns, position, error: the output schema's columns in its order."""
    output = recipe.output
    keep = pa.array(np.ones(len(rows), np.bool_)) if output.on_bad_row == "null" else rows.good
    columns = dict(rows.kept)
    line = columns.pop("line", None) if recipe.request.raw else None
    columns |= _added(rows, parcel, output)
    table = pa.table([columns[field.name] for field in output.schema], schema=output.schema)
    return Composed(table=table.filter(keep), line=None if line is None else line.filter(keep))


def _added(rows: Rows, parcel: Parcel, output: OutputRecipe) -> dict[str, pa.ChunkedArray]:
    """The task's columns over all rows, null where a row is bad; then position and error."""
    good_at_first = parcel.rows().good.to_numpy()
    labels = parcel.labels()
    places: npt.NDArray[np.int64] = np.cumsum(good_at_first) - 1
    index = pa.array(places, mask=~rows.good.to_numpy())
    stretched = labels.take(index)
    columns = {output.prefix + name: stretched[name] for name in labels.column_names}
    if output.position:
        columns[f"{output.prefix}position"] = rows.position
    if output.on_bad_row == "null":
        columns[f"{output.prefix}error"] = rows.error
    return columns


def _judged(parcel: Parcel) -> Rows:
    """The rows with the verdicts that came after reading."""
    rows = parcel.rows()
    if not parcel.head.errors:
        return rows
    error = rows.error.to_pylist()
    for row, reason in parcel.head.errors.items():
        error[row] = reason
    return rows.with_error(pa.chunked_array([pa.array(error, pa.string())]))


def _rejects(rows: Rows, output: OutputRecipe) -> tuple[Reject, ...]:
    """The bad rows with place, reason and, where the job keeps it, what stood there."""
    bad = pa.array(np.flatnonzero(~rows.good.to_numpy()))
    positions, reasons = rows.position.take(bad).to_pylist(), rows.error.take(bad).to_pylist()
    texts = _texts(rows, bad) if output.reject_text else [None] * len(bad)
    return tuple(
        Reject(position=position, reason=reason, text=text)
        for position, reason, text in zip(positions, reasons, texts, strict=True)
    )


def _texts(rows: Rows, bad: pa.Array) -> list[str | None]:
    """What the reader kept of each bad row, else the row's first field."""
    field = pa.nulls(len(bad), pa.string())
    for column in rows.fields.values():
        field = pc.utf8_slice_codeunits(column.take(bad), 0, TEXT_LIMIT).cast(pa.string())
        break
    kept = field if rows.text is None else pc.coalesce(rows.text.take(bad), field)
    texts: list[str | None] = kept.to_pylist()
    return texts


def _complaint(head: Head, reject: Reject) -> str:
    return (
        f"shard {head.split.shard!r}, position {reject.position}: {reject.reason}; mend the row, "
        "or set source.on_bad_row to 'reject' or 'null' and use a new output directory"
    )


def _receipt(parcel: Parcel, recipe: Recipe, rejects: tuple[Reject, ...], rows: int) -> Receipt:
    head, output = parcel.head, recipe.output
    labelled = rows - len(rejects)
    return Receipt(
        split=head.split,
        generation=head.generation,
        part=part_name(head.split, output.format),
        part_size=0,  # commit takes both from the part
        checksum="",
        rows_read=rows,
        rows_labelled=labelled,
        rows_rejected=len(rejects),
        rows_written=rows if output.on_bad_row == "null" else labelled,
        tokens=head.tokens,
        padded_tokens=head.padded_tokens,
        rows_repeated=head.rows_repeated,
        tokens_repeated=head.tokens_repeated,
        rejects=rejects,
        breaks=head.breaks,
        seconds=head.seconds,
        attempt=recipe.attempt,
        agreement=head.agreement,
        replica=head.replica,
    )
