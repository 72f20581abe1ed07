"""Many lines of JSON at once, by Arrow's parser, where that is provably the same as one by one.

`parse` answers None wherever it is in doubt; the caller then goes line by line. It never crashes on
hostile input: Arrow's parser itself is iterative, but its type inference recurses without a limit
(50,000 nested arrays overflow the stack), so depth is checked first and nothing is ever inferred.
"""

import json
import re
from collections.abc import Iterator
from itertools import compress

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from labelmill.ops.json_lines import Lines
from labelmill.ops.json_values import MAX_DEPTH, too_deep

# What RapidJSON takes for a number and Python's json does not. Two patterns, each with a literal
# beginning, because alternatives in one are searched for 30 times slower.
_FOREIGN_NUMBERS = tuple(
    re.compile(literal + rb"[ \t\r\n]*[,}\]]") for literal in (b"Inf", b"-NaN")
)
# The end of a key that has an escape in it; the last escape is enough to know one.
_ESCAPED_KEY = re.compile(rb'\\[^"\\]+"[ \t\r\n]*:')
_EXACT = 2.0**53  # integers below this are exact in a double


def parse(lines: Lines, schema: pa.Schema, *, closed: bool) -> pa.Table | None:
    """The columns of `schema`, one row for each line that is not blank; None when in doubt.

    `closed` says that a field outside the schema, at any depth, is a reason for doubt.

    Why equal counts prove that rows and lines are the same: every line begins with '{' and ends
    with '}'. The text is a series of valid JSON objects, or Arrow refuses it. Take the newline
    between two lines: it is not inside a string, since strings hold no raw newline; so '}' and
    '{' around it are tokens with nothing but whitespace between them. Inside a value '}' is
    followed by ',', '}' or ']', never by '{'. So each newline stands between objects, each line
    holds one or more whole objects, and as many objects as lines means one object a line.
    """
    rows = int(lines.filled.sum())
    if not _plain(lines):
        return None
    data = lines.data[int(lines.begins[0]) - lines.start :]
    try:
        table = pj.read_json(
            pa.BufferReader(data),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=pj.ParseOptions(
                explicit_schema=schema,
                unexpected_field_behavior="error" if closed else "ignore",
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != rows or any(not _exact(column) for column in table.columns):
        return None
    return table


def mentions(lines: Lines, keys: tuple[str, ...]) -> bool:
    """Whether one of `keys` may be a key somewhere in the lines, however it is spelled."""
    if not keys:
        return False
    if any(ord(char) < 32 or char in '"\\' for key in keys for char in key):
        return True  # such a key has many spellings, and nobody uses one
    if any(json.dumps(key, ensure_ascii=False).encode() in lines.data for key in keys):
        return True
    return b"\\" in lines.data and bool(_ESCAPED_KEY.search(lines.data))


def _plain(lines: Lines) -> bool:
    """Whether all lines look like one object each, and hold nothing that parsers disagree on."""
    data = lines.data
    return not (
        lines.too_long
        or b"\0" in data  # RapidJSON takes it for the end
        or not _braced(lines)
        or not _is_utf8(data)
        or any(number.search(data) for number in _FOREIGN_NUMBERS)
        or _deep(lines)
    )


def _braced(lines: Lines) -> bool:
    codes = np.frombuffer(lines.data, np.uint8)
    begins, ends = lines.bounds()
    return bool((codes[begins] == ord("{")).all() and (codes[ends - 1] == ord("}")).all())


def _is_utf8(data: bytes) -> bool:
    offsets = np.array([0, len(data)], np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    try:
        pa.Array.from_buffers(pa.large_string(), 1, buffers).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _deep(lines: Lines) -> bool:
    codes = np.frombuffer(lines.data, np.uint8)
    opening = np.flatnonzero((codes | 0x20) == ord("{"))  # '[' is '{' without that bit
    if len(opening) <= MAX_DEPTH:
        return False
    counts = np.diff(np.searchsorted(opening, lines.stops - lines.start), prepend=0)
    many = counts[lines.filled] > MAX_DEPTH
    return any(too_deep(text.decode()) for text in compress(lines.texts(), many))


def _exact(column: pa.ChunkedArray) -> bool:
    """Whether no double may stand for an integer that it does not hold, or for -0."""
    return all(
        _exact_doubles(leaf.drop_null().to_numpy())
        for chunk in column.chunks
        for leaf in _double_leaves(chunk)
    )


def _exact_doubles(values: npt.NDArray[np.float64]) -> bool:
    with np.errstate(invalid="ignore"):
        large = np.abs(values) >= _EXACT
    return not (large.any() or (np.signbit(values) & (values == 0)).any())


def _double_leaves(array: pa.Array) -> Iterator[pa.Array]:
    if pa.types.is_float64(array.type):
        yield array
    elif pa.types.is_list(array.type) or pa.types.is_struct(array.type):
        inner = array.flatten()
        for child in inner if isinstance(inner, list) else [inner]:
            yield from _double_leaves(child)


def at_path(table: pa.Table, path: list[str]) -> pa.ChunkedArray:
    """The column that a path of names leads to, through structs."""
    column = table[path[0]]
    return pc.struct_field(column, path[1:]) if len(path) > 1 else column
