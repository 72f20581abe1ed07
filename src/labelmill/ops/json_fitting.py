"""JSON values as cells of typed columns: exactly, or not at all.

A value that its column cannot hold exactly is a misfit. It goes to the row's extra column where the
run has one, and makes the row bad where not. A missing value and null are both a null cell. Columns
may have types that other formats gave them: what is no type of a JSON value, such as a timestamp,
holds null alone.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from labelmill.ops.json_types import (
    children,
    exact_in_double,
    finite_or_written,
    holds_json_text,
    is_extra,
    is_json_text,
    is_listing,
    keeps_all,
)
from labelmill.ops.json_values import (
    BadLine,
    Document,
    elements,
    encodable,
    kind,
    lone_surrogate,
    members,
)

_SHOWN = 40  # characters of a number in a message
_UNWRITABLE = BadLine(reason="lone surrogate in a field that the run has no column for")
_Cell = Callable[[object, str], object]  # value and its source ("" where nobody asks) -> cell


class _Misfit(Exception):  # noqa: N818 - never leaves this module
    pass


class _LoneSurrogate(Exception):  # noqa: N818 - never leaves this module
    pass


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    type: pa.DataType
    cell: _Cell
    sourced: bool


class Fitter:
    """Fits whole objects to one schema."""

    def __init__(self, schema: pa.Schema) -> None:
        self._names = schema.names
        self._columns = [
            _Column(item.name, item.type, _cell(item), holds_json_text(item))
            for item in schema
            if not is_extra(item)
        ]
        self._known = {column.name for column in self._columns}
        self._extra = next((item.name for item in schema if is_extra(item)), None)
        self._all = keeps_all(schema)
        self._sourced = any(column.sourced for column in self._columns)

    def fit(self, document: Document) -> list[object] | BadLine:
        """One cell a column, in the schema's order."""
        sources = members(document.text) if self._sourced else {}
        cells: dict[str, object] = {}
        misfits: list[_Column] = []
        for column in self._columns:
            try:
                value = document.value.get(column.name)
                cells[column.name] = column.cell(value, sources.get(column.name, ""))
            except _Misfit:
                misfits.append(column)
            except _LoneSurrogate:
                return BadLine(reason=f"field {column.name!r}: lone surrogate")
        return self._with_extra(document, cells, misfits)

    def _with_extra(
        self, document: Document, cells: dict[str, object], misfits: list[_Column]
    ) -> list[object] | BadLine:
        unknown = self._all and not self._known.issuperset(document.value)
        if unknown or misfits:
            text = self._leftover(document, misfits)
            if isinstance(text, BadLine):
                return text
            cells[str(self._extra)] = text
        return [cells.get(name) for name in self._names]

    def _leftover(self, document: Document, misfits: list[_Column]) -> str | BadLine:
        sources, names = members(document.text), {column.name for column in misfits}
        if self._all:
            names |= document.value.keys() - self._known
        if not all(map(encodable, names)):
            return _UNWRITABLE
        if self._extra is None:
            return _refusal(document, sources, misfits, self._known)
        left = {name: source for name, source in sources.items() if name in names}
        if any(map(lone_surrogate, left.values())):
            return _UNWRITABLE
        return "{" + ", ".join(f"{_quoted(name)}: {source}" for name, source in left.items()) + "}"


def _refusal(
    document: Document, sources: dict[str, str], misfits: list[_Column], known: set[str]
) -> BadLine:
    if not misfits:
        unknown = next(name for name in document.value if name not in known)
        return BadLine(reason=f"field {unknown[:_SHOWN]!a}: the run has no column for it")
    column = misfits[0]
    found = kind(document.value[column.name])
    if found == "a number":
        found = sources[column.name][:_SHOWN]
    shown = str(column.type)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    return BadLine(reason=f"field {column.name!r}: {found} does not fit {shown}, the run's type")


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _cell(column: pa.Field) -> _Cell:
    """The function that makes cells of a field; it raises _Misfit or _LoneSurrogate."""
    exact = _text if is_json_text(column) else _BY_TYPE.get(column.type) or _other(column.type)

    def cell(value: object, source: str) -> object:
        return None if value is None else exact(value, source)

    return cell


def _other(column: pa.DataType) -> _Cell:
    if pt.is_struct(column):
        return _struct(column)
    if is_listing(column):
        return _list(column)
    if pt.is_integer(column):
        return _integer(column)
    return _floating(column) if pt.is_floating(column) else _null


def _struct(nesting: pa.DataType) -> _Cell:
    cells = {child.name: _cell(child) for child in children(nesting)}
    sourced = any(holds_json_text(child) for child in children(nesting))

    def cell(value: object, source: str) -> object:
        if not isinstance(value, dict) or not cells.keys() >= value.keys():
            raise _Misfit
        sources = members(source) if sourced else {}
        return {name: cells[name](item, sources.get(name, "")) for name, item in value.items()}

    return cell


def _list(listing: pa.DataType) -> _Cell:
    inner, sourced = _cell(listing.value_field), holds_json_text(listing.value_field)
    size = listing.list_size if pt.is_fixed_size_list(listing) else None

    def cell(value: object, source: str) -> object:
        if not isinstance(value, list) or size not in {None, len(value)}:
            raise _Misfit
        sources = elements(source) if sourced else iter([""] * len(value))
        return [inner(item, part) for item, part in zip(value, sources, strict=True)]

    return cell


def _text(value: object, source: str) -> object:  # noqa: ARG001 - the signature of all cells
    if lone_surrogate(source):
        raise _LoneSurrogate
    return source


def _null(value: object, source: str) -> object:  # noqa: ARG001 - the signature of all cells
    raise _Misfit


def _bool(value: object, source: str) -> object:  # noqa: ARG001 - the signature of all cells
    if not isinstance(value, bool):
        raise _Misfit
    return value


def _integer(column: pa.DataType) -> _Cell:
    bounds = np.iinfo(column.to_pandas_dtype())

    def cell(value: object, source: str) -> object:  # noqa: ARG001 - the signature of all cells
        if type(value) is not int or not bounds.min <= value <= bounds.max:
            raise _Misfit
        return value

    return cell


def _floating(column: pa.DataType) -> _Cell:
    """Of fewer bits than a double."""
    narrow = column.to_pandas_dtype()

    def cell(value: object, source: str) -> object:
        wide = _double(value, source)
        with np.errstate(over="ignore"):
            found = narrow(wide)
        if not np.array_equal(found, wide, equal_nan=True):
            raise _Misfit
        return found

    return cell


def _double(value: object, source: str) -> float:  # noqa: ARG001 - the signature of all cells
    if isinstance(value, float) and finite_or_written(value):
        return float(value)
    if type(value) is int and exact_in_double(value):
        return float(value)
    raise _Misfit


def _string(value: object, source: str) -> object:  # noqa: ARG001 - the signature of all cells
    if not isinstance(value, str):
        raise _Misfit
    if not encodable(value):
        raise _LoneSurrogate
    return value


_BY_TYPE: dict[pa.DataType, _Cell] = {
    pa.bool_(): _bool,
    pa.float64(): _double,
    pa.string(): _string,
    pa.large_string(): _string,
    pa.string_view(): _string,
}
