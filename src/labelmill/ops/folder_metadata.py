"""Metadata of a media folder: metadata.csv, .jsonl or .parquet, one row a file, by `file_name`.

Names are relative to where the metadata lie. Cells of CSV are strings as they stand; values of JSON
Lines have the types that all of them agree upon. Metadata are small and read whole. One bad row
makes all of it unusable: nobody could say whose row it was.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from labelmill.errors import InputError
from labelmill.ops import schemas
from labelmill.ops.csv_records import BadRecord, RecordReader
from labelmill.ops.decompression import Stream
from labelmill.ops.json_lines import LineReader
from labelmill.ops.json_rows import RowParser, RowPlan
from labelmill.ops.json_types import infer, keeping_all
from labelmill.ops.json_values import Document, decode
from labelmill.splits import KEPT
from labelmill.storage import open_file

FILE_NAME = "file_name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """The columns beside `file_name`, and in which row each file stands."""

    table: pa.Table
    rows: Mapping[str, int]


@functools.lru_cache(maxsize=2)
def load(url: str, version: str) -> Metadata:
    """The metadata in a file; raises InputError where they cannot be used.

    Kept for the folders that share them; `version` tells whether the file is another by now.
    """
    del version
    read = {"csv": _records, "jsonl": _lines, "parquet": _columns}[url.rpartition(".")[2]]
    table = read(url)
    schemas.refuse_twins(repr(url), table.schema)
    if FILE_NAME not in table.column_names:
        raise InputError(f"{url!r} has no column {FILE_NAME!r}; it says whose row each one is")
    names = [_plain(name, url) for name in table[FILE_NAME].to_pylist()]
    rows = {name: row for row, name in enumerate(names)}
    if len(rows) < len(names):
        twin = next(name for row, name in enumerate(names) if rows[name] != row)
        raise InputError(f"{url!r} has more than one row for {twin!r}; remove all but one")
    return Metadata(table=table.drop_columns([FILE_NAME]), rows=rows)


def _plain(name: object, url: str) -> str:
    if not isinstance(name, str) or not name:
        raise InputError(f"{url!r}: a {FILE_NAME!r} is {name!r}, expected the name of a file")
    return name.removeprefix("./")


def _records(url: str) -> pa.Table:
    with open_file(url) as file:
        reader = RecordReader(Stream(file, url), ",")
        names = reader.header()
        rows: list[list[str]] = []
        while not isinstance(names, BadRecord) and (found := reader.peek()) is not None:
            taken = reader.take(len(found))
            for begin, cells in zip(taken.begins.tolist(), taken.cells, strict=True):
                if isinstance(cells, BadRecord):
                    raise InputError(f"{url!r}, the row at byte {begin}: {cells.reason}")
                rows += [cells] if cells else []
    if isinstance(names, BadRecord):
        raise InputError(f"{url!r}, the header: {names.reason}")
    columns = [pa.array(cells, pa.string()) for cells in zip(*rows, strict=True)]
    return pa.table(columns or [pa.array([], pa.string()) for _ in names], names=names)


def _columns(url: str) -> pa.Table:
    try:
        with open_file(url) as file:
            table = pq.read_table(file)
    except (pa.ArrowInvalid, OSError) as error:  # the decoder's; of a disk it is a StorageError
        raise InputError(f"{url!r} cannot be read as Parquet: {error}") from error
    return schemas.cast(table, schemas.plain_schema(table.schema), source=repr(url))


def _lines(url: str) -> pa.Table:
    with open_file(url) as file:
        stream = Stream(file, url, piece=1 << 24)
        reader, parts = LineReader(stream), []
        while (lines := reader.peek()) is not None:
            parts.append(reader.take(len(lines)))
    objects = [
        document.value
        for part in parts
        for document in map(decode, part.texts())
        if isinstance(document, Document)
    ]
    parser = RowParser(RowPlan(fields={}, kept=keeping_all(infer(objects))))
    table = pa.concat_tables([parser.schema.empty_table(), *map(parser.parse, parts)])
    for begin, reason in zip(
        table["position"].to_pylist(), table["error"].to_pylist(), strict=True
    ):
        if reason is not None:
            raise InputError(f"{url!r}, the line at byte {begin}: {reason}")
    kept = [name for name in table.column_names if name.startswith(KEPT)]
    return table.select(kept).rename_columns([name.removeprefix(KEPT) for name in kept])
