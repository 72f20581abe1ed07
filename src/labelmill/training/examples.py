"""Examples: what is learned of every row, as one Arrow file that workers map into memory.

One row of the file is one sequence. Columns of lists are ragged: they are padded when a batch is
made. The file's metadata say which they are and how each is padded. It is written whole or not at
all.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from typing_extensions import override

from labelmill.batch import Array, Ragged
from labelmill.learning import Examples

LENGTH = "length"
_LAYOUT = b"labelmill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the columns of a file of examples become a batch."""

    inputs: tuple[str, ...]  # ragged model inputs, with an attention mask
    targets: tuple[str, ...]  # what is to be learned
    shapes: dict[str, tuple[int, ...]]  # of one sequence, of columns that are not ragged
    maskable: bool  # padding is masked

    def to_metadata(self) -> dict[bytes, bytes]:
        """As metadata of an Arrow schema."""
        told = {
            "inputs": self.inputs,
            "targets": self.targets,
            "shapes": self.shapes,
            "maskable": self.maskable,
        }
        return {_LAYOUT: json.dumps(told).encode()}

    @classmethod
    def from_metadata(cls, metadata: dict[bytes, bytes]) -> "Layout":
        """The inverse of `to_metadata`."""
        told = json.loads(metadata[_LAYOUT])
        return cls(
            inputs=tuple(told["inputs"]),
            targets=tuple(told["targets"]),
            shapes={name: tuple(shape) for name, shape in told["shapes"].items()},
            maskable=told["maskable"],
        )

    def beside(self, other: "Layout") -> "Layout":
        """That of both files: rows of one may have a target that no row of the other has."""
        return replace(
            self,
            targets=tuple(dict.fromkeys((*self.targets, *other.targets))),
            shapes={**other.shapes, **self.shapes},
        )


def table(examples: Examples) -> pa.Table:
    """One row a sequence, without those of rows that cannot be learned from."""
    encoded = examples.encoded
    columns: dict[str, pa.Array] = {LENGTH: pa.array(encoded.lengths, pa.int32())}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, values in encoded.inputs.items():
        columns[name] = _lists(Ragged(values=values, lengths=encoded.lengths.astype(np.int64)))
    for name, given in {**encoded.fixed, **examples.targets}.items():
        if isinstance(given, Ragged):
            columns[name] = _lists(given)
        else:
            shapes[name] = given.shape[1:]
            columns[name] = _fixed(given)
    layout = Layout(
        inputs=tuple(encoded.inputs),
        targets=tuple(examples.targets),
        shapes=shapes,
        maskable=encoded.uneven,
    )
    good = ~np.isin(encoded.rows, np.fromiter(encoded.errors, np.int64))
    return pa.table(columns).filter(pa.array(good)).replace_schema_metadata(layout.to_metadata())


def write(path: Path, tables: Iterable[pa.Table]) -> int:
    """Write the file; the number of examples. There is no file where there are none."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    written = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    sink: pa.ipc.RecordBatchFileWriter | None = None
    try:
        for one in tables:
            if not len(one):
                continue
            if sink is None:
                sink = pa.ipc.new_file(str(draft), one.schema)
            sink.write_table(one.combine_chunks())
            written += len(one)
    finally:
        if sink is not None:
            sink.close()
    if written:
        draft.replace(path)
    return written


class StoredExamples:
    """A file of examples as a data set by place, for PyTorch's data loader."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()

    def _open(self) -> None:
        reader = pa.ipc.open_file(pa.memory_map(str(self._path)))
        self._batches = [reader.get_batch(place) for place in range(reader.num_record_batches)]
        self._starts = np.cumsum([0, *(batch.num_rows for batch in self._batches)])
        self.layout = Layout.from_metadata(reader.schema.metadata)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, place: int) -> pa.RecordBatch:
        batch = int(np.searchsorted(self._starts, place, side="right")) - 1
        return self._batches[batch].slice(place - int(self._starts[batch]), 1)

    @override
    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path}  # mapped anew in the processes of a data loader

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._path = state["_path"]
        self._open()

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """[examples] tokens, or what else costs."""
        columns = [batch.column(LENGTH).to_numpy() for batch in self._batches]
        return np.concatenate(columns).astype(np.int64)


def batch_of(rows: Sequence[pa.RecordBatch], layout: Layout) -> dict[str, Array | Ragged]:
    """The columns of some examples as arrays, by name: [batch, ...], or Ragged."""
    whole = pa.Table.from_batches(rows).combine_chunks()
    found: dict[str, Array | Ragged] = {}
    for name in whole.column_names:
        if name == LENGTH:
            continue
        column = whole[name].combine_chunks()
        if name in layout.shapes:
            flat = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
            found[name] = flat.to_numpy(zero_copy_only=False).reshape(-1, *layout.shapes[name])
        else:
            lengths = column.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
            found[name] = Ragged(values=column.flatten().to_numpy(), lengths=lengths)
    return found


def _lists(ragged: Ragged) -> pa.Array:
    offsets = pa.array(ragged.offsets, pa.int64())
    return pa.LargeListArray.from_arrays(offsets, pa.array(ragged.values))


def _fixed(values: Array) -> pa.Array:
    width = int(np.prod(values.shape[1:]))
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, width)
