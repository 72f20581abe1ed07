"""Arrow columns as JSON text, one string a cell.

Numbers survive a round trip: integers in full, doubles by Python's repr, float32 and float16 by
the shortest digits that give the same float32 or float16 again (0.98, not 0.9800000190734863).
NaN and infinities are the literals that Python's json writes and reads. Text is not escaped
beyond need. JSON text is spliced in as it is. Dates and times are ISO 8601 (instants in UTC,
with Z; durations as PT1.5S); decimals are strings; binary is base64, but a UUID is written as one.
A map with string keys is an object, any other a list of pairs.
"""

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from labelmill.errors import InputError
from labelmill.ops.arrow_types import is_binary, is_list, is_string
from labelmill.ops.json_types import children, is_extra, is_json_text

_Writer = Callable[[pa.Array], Sequence[str | None]]
_ENCODER = json.JSONEncoder(ensure_ascii=False)
_NAMES = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def quoted(text: str) -> str:
    """A JSON string; what is not ASCII stays as it is."""
    return _ENCODER.encode(text)


def cells(column: pa.ChunkedArray, field: pa.Field) -> Iterator[str]:
    """The JSON text of each cell; null is "null".

    Raises InputError for a type that JSON has no form for.
    """
    return chain.from_iterable(_chunk(chunk, field) for chunk in column.chunks)


def _chunk(array: pa.Array, field: pa.Field) -> list[str]:
    """The JSON text of each cell of one array."""
    spliced = is_json_text(field) or is_extra(field)
    written = array.to_pylist() if spliced else _written(array)
    return ["null" if text is None else text for text in written]


def _written(array: pa.Array) -> Sequence[str | None]:
    kind = array.type
    if isinstance(kind, pa.UuidType):
        return [None if one is None else f'"{one}"' for one in array.to_pylist()]
    if isinstance(kind, pa.BaseExtensionType):
        return _written(array.storage)
    for test, write in _WRITERS:
        if test(kind):
            return write(array)
    raise InputError(f"JSON has no form for a column of type {kind}; leave it out of source.keep")


def _nulls(array: pa.Array) -> list[str | None]:
    return [None] * len(array)


def _bools(array: pa.Array) -> list[str | None]:
    return [None if value is None else str(value).lower() for value in array.to_pylist()]


def _integers(array: pa.Array) -> list[str | None]:
    return [None if value is None else str(value) for value in array.to_pylist()]


def _doubles(array: pa.Array) -> list[str | None]:
    return [None if value is None else _float(repr(value)) for value in array.to_pylist()]


def _short_floats(array: pa.Array) -> list[str | None]:
    """float32 and float16, whose shortest digits only numpy knows."""
    values = array.to_numpy(zero_copy_only=False).astype(array.type.to_pandas_dtype())
    valid = array.is_valid().to_pylist()
    return [_float(str(value)) if ok else None for value, ok in zip(values, valid, strict=True)]


def _float(digits: str) -> str:
    return _NAMES.get(digits, digits)


def _strings(array: pa.Array) -> list[str | None]:
    return [None if value is None else quoted(value) for value in array.to_pylist()]


def _quoted_cast(array: pa.Array) -> list[str | None]:
    return _strings(array.cast(pa.string()))


def _binary(array: pa.Array) -> list[str | None]:
    values = array.to_pylist()
    return [None if one is None else f'"{base64.b64encode(one).decode()}"' for one in values]


def _timestamps(array: pa.Array) -> list[str | None]:
    zone = "" if array.type.tz is None else "Z"
    if zone:
        array = array.cast(pa.timestamp(array.type.unit, "UTC"))
    return _strings(pc.strftime(array, format=f"%Y-%m-%dT%H:%M:%S{zone}"))


_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def _durations(array: pa.Array) -> list[str | None]:
    per_second = _PER_SECOND[array.type.unit]
    counts = array.cast(pa.int64()).to_pylist()
    return [None if count is None else _duration(count, per_second) for count in counts]


def _duration(count: int, per_second: int) -> str:
    whole, part = divmod(abs(count), per_second)
    digits = f"{part:0{len(str(per_second)) - 1}d}".rstrip("0") if part else ""
    sign, point = "-" if count < 0 else "", "." if digits else ""
    return f'"{sign}PT{whole}{point}{digits}S"'


def _structs(array: pa.Array) -> list[str | None]:
    names = [quoted(child.name) for child in children(array.type)]
    columns = [
        _chunk(pc.struct_field(array, [index]), child)
        for index, child in enumerate(children(array.type))
    ]
    rows = zip(*columns, strict=True) if columns else iter([()] * len(array))
    valid = array.is_valid().to_pylist()
    return [joined(names, row) if ok else None for row, ok in zip(rows, valid, strict=True)]


def joined(names: Sequence[str], row: Sequence[str]) -> str:
    """One object of quoted names and JSON texts."""
    return "{" + ", ".join(f"{name}: {cell}" for name, cell in zip(names, row, strict=True)) + "}"


def _lists(array: pa.Array) -> list[str | None]:
    inner = iter(_chunk(array.flatten(), array.type.value_field))
    sizes = pc.list_value_length(array).to_pylist()
    return [_enclosed("[", inner, size, "]") for size in sizes]


def _maps(array: pa.Array) -> list[str | None]:
    entries = array.cast(pa.list_(array.type.field(0)))
    keys, values = (_chunk(part, pa.field("", part.type)) for part in entries.flatten().flatten())
    sizes = pc.list_value_length(entries).to_pylist()
    if is_string(array.type.key_type):
        pairs = (f"{key}: {value}" for key, value in zip(keys, values, strict=True))
        return [_enclosed("{", pairs, size, "}") for size in sizes]
    pairs = (f"[{key}, {value}]" for key, value in zip(keys, values, strict=True))
    return [_enclosed("[", pairs, size, "]") for size in sizes]


def _enclosed(start: str, inner: Iterator[str], size: int | None, end: str) -> str | None:
    """The next `size` texts in one; null where there is no size."""
    return None if size is None else start + ", ".join(islice(inner, size)) + end


def _decoded(array: pa.Array) -> Sequence[str | None]:
    return _written(array.dictionary_decode())


_WRITERS: tuple[tuple[Callable[[pa.DataType], bool], _Writer], ...] = (
    (pt.is_null, _nulls),
    (pt.is_boolean, _bools),
    (pt.is_integer, _integers),
    (pt.is_float64, _doubles),
    (pt.is_floating, _short_floats),
    (is_string, _strings),
    (is_binary, _binary),
    (pt.is_dictionary, _decoded),
    (pt.is_timestamp, _timestamps),
    (pt.is_date32, _quoted_cast),
    (pt.is_date64, _quoted_cast),
    (pt.is_time, _quoted_cast),
    (pt.is_decimal, _quoted_cast),
    (pt.is_duration, _durations),
    (pt.is_struct, _structs),
    (pt.is_map, _maps),
    (is_list, _lists),
)
