"""Parcel: one whole split on its way from stage to stage; on Ray one row of its dataset.

Ray cuts and glues blocks as it likes, but never cuts a row and never opens a binary. So a parcel is
one row: a small JSON head, and Arrow IPC streams in `large_binary` cells that a stage opens only if
it needs them. Reading a cell back copies nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa

from labelmill.batch import Array, Encoded
from labelmill.splits import Break, Rows, Split

_CELLS = ("rows", "encoded", "labels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What every stage may read of a parcel without opening a cell."""

    split: Split
    generation: int = 0  # of the shard's record in the ledger
    breaks: tuple[Break, ...] = ()
    skipped: bool = False  # the job is stopping: pass on, do nothing, commit nothing
    errors: Mapping[int, str] = field(default_factory=dict)  # row -> reason, found after reading
    tokens: int = 0
    rows_repeated: int = 0
    tokens_repeated: int = 0
    padded_tokens: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)  # stage -> wall seconds
    replica: Mapping[str, Any] = field(
        default_factory=dict
    )  # what predicted it: device, budget, ...
    agreement: Mapping[str, float] | None = None  # the self-check's record

    def to_json(self) -> str:
        """The inverse of `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The head that `to_json` wrote."""
        raw = json.loads(text)
        raw["split"] = Split(**raw["split"])
        raw["breaks"] = tuple(Break(**piece) for piece in raw["breaks"])
        raw["errors"] = {int(row): reason for row, reason in raw["errors"].items()}
        return cls(**raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A head and the sealed cells; `None` where a stage has not come yet."""

    head: Head
    cells: Mapping[str, pa.Buffer]

    def rows(self) -> Rows:
        """Every row of the split."""
        return Rows.from_table(_open(self.cells["rows"]))

    def encoded(self) -> Encoded:
        """The model inputs of the rows that were good when they were tokenized."""
        return _encoded(_open(self.cells["encoded"]))

    def labels(self) -> pa.Table:
        """The added columns, one row for each row that was good when it was tokenized."""
        return _open(self.cells["labels"])

    def with_head(self, **changes: Any) -> Self:
        """The same cells under a changed head."""
        return replace(self, head=replace(self.head, **changes))

    def with_cell(self, name: str, table: pa.Table | None) -> Self:
        """The parcel with one cell written, or taken away (None)."""
        cells = {key: cell for key, cell in self.cells.items() if key != name}
        if table is not None:
            cells[name] = _seal(table)
        return replace(self, cells=cells)

    def took(self, stage: str, seconds: float) -> Self:
        """The parcel with a stage's wall time noted."""
        return self.with_head(seconds={**self.head.seconds, stage: round(seconds, 6)})

    def skip(self) -> Self:
        """An empty parcel that says that the split was left alone."""
        return replace(self, head=replace(self.head, skipped=True), cells={})

    def to_block(self) -> pa.Table:
        """One row for Ray."""
        columns: dict[str, pa.Array] = {"head": pa.array([self.head.to_json()])}
        for name in _CELLS:
            columns[name] = _cell(self.cells.get(name))
        return pa.table(columns)

    @classmethod
    def from_block(cls, block: pa.Table) -> Self:
        """The parcel in a block of exactly one row."""
        if block.num_rows != 1:
            raise AssertionError(f"a block of {block.num_rows} rows reached a stage, expected 1")
        cells = {name: block[name][0].as_buffer() for name in _CELLS if block[name][0].is_valid}
        return cls(head=Head.from_json(block["head"][0].as_py()), cells=cells)


def encoded_table(encoded: Encoded) -> pa.Table:
    """One row a sequence: ragged columns as lists, those of one shape as fixed-size lists.

    Ids are uint16 where all of them fit. Errors stay behind: they are the head's.
    """
    offsets = pa.array(encoded.offsets, pa.int64())
    columns: dict[str, pa.Array] = {"rows": pa.array(encoded.rows, pa.int32())}
    columns["lengths"] = pa.array(encoded.lengths, pa.int32())
    for prefix, ragged in ((_INPUT, encoded.inputs), (_MARK, encoded.marks)):
        for name, values in ragged.items():
            flat = pa.array(_narrow(values))
            columns[prefix + name] = pa.LargeListArray.from_arrays(offsets, flat)
    fields = [pa.field(name, column.type) for name, column in columns.items()]
    for name, values in encoded.fixed.items():
        columns[_FIXED + name] = pa.FixedSizeListArray.from_arrays(
            pa.array(values.reshape(-1)), int(np.prod(values.shape[1:]))
        )
        shape = {"shape": json.dumps(values.shape[1:])}
        fields.append(pa.field(_FIXED + name, columns[_FIXED + name].type, metadata=shape))
    how = {
        "unit": str(encoded.unit),
        "uneven": json.dumps(encoded.uneven),
        "written": str(encoded.written),
    }
    return pa.table(list(columns.values()), schema=pa.schema(fields, metadata=how))


_INPUT, _MARK, _FIXED = "input:", "mark:", "fixed:"


def _narrow(values: Array) -> Array:
    """Integers as uint16 where all fit."""
    if values.dtype.kind == "f":
        return values.astype(np.float32, copy=False)
    small = len(values) == 0 or (values.min() >= 0 and values.max() < 2**16)
    return values.astype(np.uint16 if small else np.int32)


def _encoded(table: pa.Table) -> Encoded:
    how = table.schema.metadata
    return Encoded(
        rows=_integers(table["rows"]),
        lengths=_integers(table["lengths"]),
        inputs={name: _ragged(column) for name, column in _family(table, _INPUT)},
        marks={name: _integers(_flat(column)) for name, column in _family(table, _MARK)},
        fixed={name: _shaped(table, name) for name, _ in _family(table, _FIXED)},
        unit=int(how[b"unit"]),
        uneven=bool(json.loads(how[b"uneven"])),
        written=int(how[b"written"]),
    )


def _family(table: pa.Table, prefix: str) -> list[tuple[str, pa.ChunkedArray]]:
    names = [name for name in table.column_names if name.startswith(prefix)]
    return [(name.removeprefix(prefix), table[name]) for name in names]


def _ragged(column: pa.ChunkedArray) -> Array:
    flat = _flat(column)
    if pa.types.is_floating(flat.type):
        floats: Array = flat.to_numpy()
        return floats
    return _integers(flat)


def _shaped(table: pa.Table, name: str) -> Array:
    """[sequences, ...] as the column was laid out; copies nothing."""
    field = table.schema.field(_FIXED + name)
    shape = json.loads(field.metadata[b"shape"])
    values: Array = _flat(table[_FIXED + name]).to_numpy()
    return values.reshape(len(table), *shape)


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([chunk.flatten() for chunk in column.chunks], column.type.value_type)


def _integers(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.int32]]:
    values: np.ndarray[Any, np.dtype[np.int32]] = column.to_numpy().astype(np.int32, copy=False)
    return values


def _seal(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def _open(buffer: pa.Buffer) -> pa.Table:
    return pa.ipc.open_stream(buffer).read_all()


def _cell(buffer: pa.Buffer | None) -> pa.Array:
    if buffer is None:
        return pa.nulls(1, pa.large_binary())
    offsets = pa.py_buffer(np.array([0, buffer.size], dtype=np.int64))
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, buffer])
