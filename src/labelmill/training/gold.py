"""Gold: rows that are kept back as they are, with what is right for each, as one Arrow file.

A model whose answers are words is measured by labelling them. The file is written whole or not at
all.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

Rows = dict[str, pa.ChunkedArray]  # the task's fields by name
_GOLD, _FIELD = "gold", "field:"


class GoldWriter:
    """Writes the file, some rows at a time; a context, after which it is there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft = path.with_name(f".{path.name}.{os.getpid()}")
        self._sink: pa.ipc.RecordBatchFileWriter | None = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def add(self, fields: Mapping[str, pa.ChunkedArray], gold: pa.Array) -> None:
        """Rows by the task's fields, and what is right for each."""
        named = {_FIELD + name: column for name, column in fields.items()}
        table = pa.table({**named, _GOLD: gold})
        if self._sink is None:
            self._sink = pa.ipc.new_file(str(self._draft), table.schema)
        self._sink.write_table(table.combine_chunks())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._sink is not None:
            self._sink.close()
            if error is None:
                self._draft.replace(self._path)


def read(path: Path, part: int, parts: int) -> Iterator[tuple[Rows, pa.Array]]:
    """Every `parts`-th row from `part` on, a piece at a time: fields by name, and what is right."""
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    for place in range(reader.num_record_batches):
        batch = pa.Table.from_batches([reader.get_batch(place)])
        mine = batch.take(pa.array(range(part, len(batch), parts), pa.int64()))
        if not len(mine):
            continue
        fields = {
            name.removeprefix(_FIELD): mine[name] for name in mine.column_names if name != _GOLD
        }
        yield fields, mine[_GOLD].combine_chunks()
