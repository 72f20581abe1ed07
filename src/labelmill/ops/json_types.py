"""The Arrow types of JSON values: inferred from a sample, unified across shards.

The types are null, bool, int64, double, string, list<>, struct<> and *JSON text*: a string
field that carries a mark and holds any value as its source text. Where values disagree the
answer is JSON text, never an error and never a guess: digits in quotes stay a string. So are
objects with a name that is not UTF-8, and what lies deeper than `MAX_LEVELS`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.types as pt

from labelmill.ops.json_values import Infinite, encodable

MARK = b"labelmill"
MAX_KEYS = 100  # an object with more keys than this is a mapping, not a record
MAX_LEVELS = 32  # of lists and structs in a column: Arrow's IPC refuses 64, and JSON has 200
_INT64 = range(-(2**63), 2**63)


def json_text(name: str) -> pa.Field:
    """A field that holds any JSON value as text."""
    return pa.field(name, pa.string(), metadata={MARK: b"json"})


def extra(name: str) -> pa.Field:
    """The field that takes what the other columns of a row cannot hold, as one JSON object."""
    return pa.field(name, pa.string(), metadata={MARK: b"extra"})


def is_json_text(column: pa.Field) -> bool:
    """Whether the field was made by `json_text`."""
    return _marked(column, b"json")


def is_extra(column: pa.Field) -> bool:
    """Whether the field was made by `extra`."""
    return _marked(column, b"extra")


def keeping_all(schema: pa.Schema) -> pa.Schema:
    """The schema, marked: fields of a row that it does not name are kept too, or the row is bad."""
    return schema.with_metadata({**(schema.metadata or {}), MARK: b"all"})


def keeps_all(schema: pa.Schema) -> bool:
    """Whether the schema was made by `keeping_all`."""
    return bool((schema.metadata or {}).get(MARK) == b"all")


def holds_json_text(column: pa.Field) -> bool:
    """Whether the field or one inside it is JSON text."""
    return is_json_text(column) or any(holds_json_text(child) for child in children(column.type))


def children(kind: pa.DataType) -> list[pa.Field]:
    """The fields inside a type."""
    return [kind.field(index) for index in range(kind.num_fields)]


def is_listing(kind: pa.DataType) -> bool:
    """Whether it is one of the types of lists, of which `infer` knows the first."""
    return bool(
        pt.is_list(kind)
        or pt.is_large_list(kind)
        or pt.is_fixed_size_list(kind)
        or pt.is_list_view(kind)
        or pt.is_large_list_view(kind)
    )


def is_plain(kind: pa.DataType) -> bool:
    """Whether it is a type that `infer` gives, and so are those inside it."""
    if pt.is_struct(kind) or pt.is_list(kind):
        return all(is_plain(child.type) for child in children(kind))
    return kind in {pa.null(), pa.bool_(), pa.int64(), pa.float64(), pa.string()}


def infer(objects: Iterable[dict[str, object]]) -> pa.Schema:
    """The top-level columns of a sample, in the order of their first appearance.

    Names that are not UTF-8 are left out: no column can be called so, and rows with one are bad.
    """
    columns: dict[str, _Seen] = {}
    for item in objects:
        for name, value in item.items():
            columns.setdefault(name, _Seen()).add(value)
    return pa.schema([seen.field(name) for name, seen in columns.items() if encodable(name)])


def unify(one: pa.Field, other: pa.Field) -> pa.Field:
    """The field that holds what either holds, under the name of the first.

    null gives way to anything and int64 to double; structs join their fields, lists their elements;
    whatever else differs is JSON text. What comes out is nested no deeper than either.
    """
    if is_json_text(one) or is_json_text(other):
        return json_text(one.name)
    first, second = one.type, other.type
    if pt.is_null(first) or pt.is_null(second):
        return (other if pt.is_null(first) else one).with_name(one.name)
    if pt.is_struct(first) and pt.is_struct(second):
        return _struct(one.name, _unify_members(children(first), children(second)))
    if pt.is_list(first) and pt.is_list(second):
        return _list(one.name, unify(first.value_field, second.value_field))
    if {first, second} == {pa.int64(), pa.float64()}:
        return pa.field(one.name, pa.float64())
    return one if first == second else json_text(one.name)


def _unify_members(first: list[pa.Field], second: list[pa.Field]) -> list[pa.Field]:
    members = {member.name: member for member in first}
    for member in second:
        known = members.get(member.name)
        members[member.name] = member if known is None else unify(known, member)
    return list(members.values())


def _struct(name: str, members: list[pa.Field]) -> pa.Field:
    if not 0 < len(members) <= MAX_KEYS:
        return json_text(name)
    return pa.field(name, pa.struct(members))


def _list(name: str, item: pa.Field) -> pa.Field:
    # A mark on the elements of a list would be lost in Parquet, so the list itself is text.
    return json_text(name) if is_json_text(item) else pa.field(name, pa.list_(item))


def _marked(column: pa.Field, mark: bytes) -> bool:
    return bool((column.metadata or {}).get(MARK) == mark)


@dataclass(slots=True)
class _Seen:
    """What stood in one place of the sampled objects."""

    kinds: set[str] = field(default_factory=set)  # names of types, null left out
    exact: bool = True  # each integer is exact in a double
    items: "_Seen | None" = None
    members: "dict[str, _Seen]" = field(default_factory=dict)

    def add(self, value: object) -> None:
        kind = _kind(value)
        if kind != "null":
            self.kinds.add(kind)
        if isinstance(value, int):
            self.exact = self.exact and exact_in_double(value)
        elif isinstance(value, list):
            self.items = self.items or _Seen()
            for item in value:
                self.items.add(item)
        elif isinstance(value, dict):
            for name, member in value.items():
                self.members.setdefault(name, _Seen()).add(member)

    def field(self, name: str, level: int = 1) -> pa.Field:
        if len(self.kinds) > 1:
            mixed = self.kinds == {"int64", "double"} and self.exact
            return pa.field(name, pa.float64()) if mixed else json_text(name)
        kind = next(iter(self.kinds), "null")
        if kind == "json" or self._beyond_arrow(level):
            return json_text(name)
        if kind == "struct":
            members = self.members.items()
            return _struct(name, [seen.field(key, level + 1) for key, seen in members])
        if kind == "list":
            return _list(name, (self.items or _Seen()).field("item", level + 1))
        return pa.field(name, pa.type_for_alias(kind))

    def _beyond_arrow(self, level: int) -> bool:
        """Whether a list or object stood too deep, or an object had a name that is not UTF-8."""
        nested = self.items is not None or bool(self.members)
        return (nested and level > MAX_LEVELS) or not all(map(encodable, self.members))


_NAMES = {dict: "struct", list: "list", str: "string", bool: "bool", type(None): "null"}


def _kind(value: object) -> str:
    if type(value) is int:
        return "int64" if value in _INT64 else "json"
    if isinstance(value, float):
        return "double" if finite_or_written(value) else "json"
    return _NAMES.get(type(value), "json")  # a Decimal: an integer of thousands of digits


def exact_in_double(value: int) -> bool:
    """Whether the integer survives as a double."""
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def finite_or_written(value: float) -> bool:
    """False for a literal such as 1e999, which is finite and which no double can hold."""
    return abs(value) != float("inf") or isinstance(value, Infinite)
