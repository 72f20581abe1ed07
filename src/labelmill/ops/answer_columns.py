"""Answer columns: spans of contexts to Arrow, the best of each row and, if asked, all of them."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from labelmill.ops.answers import NOWHERE, Spans

_FOUND = [
    pa.field("answer", pa.string()),
    pa.field("score", pa.float32()),
    pa.field("start", pa.int32()),
    pa.field("end", pa.int32()),
]


def schema(*, listed: bool) -> pa.Schema:
    """The columns of `table`: answer, score, start, end, and where `listed` the list answers."""
    lists = [pa.field("answers", pa.list_(pa.struct(_FOUND)))] if listed else []
    return pa.schema([*_FOUND, *lists])


def table(spans: Spans, contexts: Sequence[str], schema: pa.Schema) -> pa.Table:
    """One row for each context; all null where it has no span, "" and no place for no answer."""
    found = pa.StructArray.from_arrays(_columns(spans, contexts), fields=_FOUND)
    counts = np.bincount(spans.rows, minlength=len(contexts))
    empty = counts == 0
    offsets = np.concatenate([[0], np.cumsum(counts)])
    best = found.take(pa.array(offsets[:-1], pa.int64(), mask=empty))
    arrays = best.flatten()  # a null struct has null members
    if "answers" in schema.names:
        starts = pa.array(offsets, pa.int32(), mask=np.append(empty, False))
        arrays.append(pa.ListArray.from_arrays(starts, found))
    return pa.table(arrays, schema=schema)


def _columns(spans: Spans, contexts: Sequence[str]) -> list[pa.Array]:
    places = zip(spans.rows.tolist(), spans.starts.tolist(), spans.ends.tolist(), strict=True)
    nowhere = spans.starts == NOWHERE
    return [
        pa.array([contexts[row][start:end] for row, start, end in places], pa.string()),
        pa.array(np.exp(spans.scores), pa.float32()),
        pa.array(spans.starts, pa.int32(), mask=nowhere),
        pa.array(spans.ends, pa.int32(), mask=nowhere),
    ]
