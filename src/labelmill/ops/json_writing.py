"""Tables as JSON Lines: one object a row, or columns added to lines that are objects already."""

from collections.abc import Iterator

import pyarrow as pa

from labelmill.ops.json_cells import cells, joined, quoted
from labelmill.ops.json_lines import BLANKS


def object_lines(table: pa.Table) -> Iterator[bytes]:
    """One line a row, with its newline: an object of the table's columns, in their order."""
    for text in _objects(table):
        yield text.encode() + b"\n"


def spliced_lines(table: pa.Table, lines: pa.ChunkedArray) -> Iterator[bytes]:
    """Each line of `lines` (an object, without newline) with the columns before its last '}'.

    Every other byte stays as it is. Where a line is null the columns make the whole object.
    """
    for text, line in zip(_objects(table), lines, strict=True):
        added, raw = text.encode(), line.as_py()
        yield (added if raw is None else _splice(raw, added)) + b"\n"


def _objects(table: pa.Table) -> Iterator[str]:
    if not table.num_columns:
        yield from ("{}" for _ in range(table.num_rows))
        return
    names = [quoted(name) for name in table.column_names]
    columns = [cells(table[index], field) for index, field in enumerate(table.schema)]
    for row in zip(*columns, strict=True):
        yield joined(names, row)


def _splice(line: bytes, added: bytes) -> bytes:
    end = line.rindex(b"}")
    members = added[1:-1]
    between = b", " if members and line[:end].strip(BLANKS) != b"{" else b""
    return line[:end] + between + members + line[end:]
