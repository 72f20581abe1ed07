"""Entity lists: entities to the Arrow column that holds them, and back to what can be compared."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from labelmill.ops.entities import Entities

ENTITY = pa.struct(
    [
        ("label", pa.string()),
        ("score", pa.float32()),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("text", pa.string()),
    ]
)
ENTITIES = pa.list_(ENTITY)

_ALIKE = 0.95  # share of entities in common of two rows that say the same


def trimmed(entities: Entities, texts: Sequence[str | None]) -> Entities:
    """Without the white space at their ends; one of white space alone is left out."""
    starts, ends = entities.starts.copy(), entities.ends.copy()
    for place, text in enumerate(_slices(entities, texts)):
        if text.strip() != text:
            starts[place] += len(text) - len(text.lstrip())
            ends[place] -= len(text) - len(text.rstrip())
    found = replace(entities, starts=starts, ends=ends)
    return found.where(found.starts < found.ends)


def column(
    entities: Entities,
    names: Sequence[str],
    texts: Sequence[str | None],
    present: npt.NDArray[np.bool_],
) -> pa.ListArray:
    """A list of ENTITY for each of the `present` rows [rows], null for the others.

    `names` are what the entities' names are places in, `texts` the text of each row.
    """
    values = pa.StructArray.from_arrays(
        [
            pa.array(names, pa.string()).take(pa.array(entities.names, pa.int64())),
            pa.array(entities.scores, pa.float32()),
            pa.array(entities.starts, pa.int32()),
            pa.array(entities.ends, pa.int32()),
            pa.array(_slices(entities, texts), pa.string()),
        ],
        fields=list(ENTITY),
    )
    counts = np.bincount(entities.rows, minlength=len(present))
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, values, mask=pa.array(~present))


def agree(ours: pa.ChunkedArray, reference: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """[rows] the same entities, scores aside; of many, one in twenty may differ."""
    pairs = zip(ours.to_pylist(), reference.to_pylist(), strict=True)
    return np.array([_alike(one, other) for one, other in pairs], dtype=np.bool_)


def _slices(entities: Entities, texts: Sequence[str | None]) -> list[str]:
    spans = zip(
        entities.rows.tolist(), entities.starts.tolist(), entities.ends.tolist(), strict=True
    )
    return [(texts[row] or "")[start:end] for row, start, end in spans]


def _alike(ours: list[dict[str, object]] | None, reference: list[dict[str, object]] | None) -> bool:
    if ours is None or reference is None:
        return ours is reference
    one, other = _places(ours), _places(reference)
    return 2 * len(one & other) >= _ALIKE * (len(one) + len(other))


def _places(entities: list[dict[str, object]]) -> set[tuple[object, ...]]:
    return {(entity["label"], entity["start"], entity["end"]) for entity in entities}
