"""Arrow types: families, the plain layout, and the smallest type that holds several exactly.

Pure functions of types. Whose types they are is only carried along, for the message of a conflict.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import pyarrow as pa
import pyarrow.types as pt

Claim = tuple[pa.DataType, str]  # a type, and who brought it first


class TypeConflict(Exception):  # noqa: N818 - named after the condition; schemas makes an InputError of it
    """Two claims on one column that no type satisfies; `path` says where in a nested column."""

    def __init__(self, path: str, first: Claim, second: Claim) -> None:
        super().__init__(path, first, second)
        self.path, self.first, self.second = path, first, second


_LISTS: tuple[Callable[[pa.DataType], bool], ...] = (
    pt.is_list, pt.is_large_list, pt.is_fixed_size_list, pt.is_list_view, pt.is_large_list_view,
)  # fmt: skip


def is_list(kind: pa.DataType) -> bool:
    """Lists of all layouts, maps excepted."""
    return any(test(kind) for test in _LISTS)


def is_string(kind: pa.DataType) -> bool:
    """Strings of all layouts."""
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def is_binary(kind: pa.DataType) -> bool:
    """Bytes of all layouts."""
    tests = (pt.is_binary, pt.is_large_binary, pt.is_binary_view, pt.is_fixed_size_binary)
    return any(test(kind) for test in tests)


def is_view(kind: pa.DataType) -> bool:
    """Strings and bytes in the view layout, which most Arrow kernels do not take."""
    return bool(pt.is_string_view(kind) or pt.is_binary_view(kind))


def has_codes(kind: pa.DataType) -> bool:
    """A dictionary at any depth."""
    if pt.is_dictionary(kind):
        return True
    return any(has_codes(kind.field(place).type) for place in range(kind.num_fields))


def plain(kind: pa.DataType) -> pa.DataType:
    """The same values in a layout that every reader knows; children nullable, without metadata."""
    if pt.is_dictionary(kind):
        return plain(kind.value_type)
    if is_view(kind):
        return pa.large_string() if pt.is_string_view(kind) else pa.large_binary()
    if pt.is_struct(kind):
        return pa.struct([pa.field(child.name, plain(child.type)) for child in kind.fields])
    if pt.is_map(kind):
        return pa.map_(plain(kind.key_type), plain(kind.item_type))
    if is_list(kind):
        return _list_like([kind], plain(kind.value_type))
    return kind


def join(claims: Sequence[Claim], path: str) -> pa.DataType:
    """The smallest plain type that holds every value of plain types; null gives way to anything.

    Integers and floats meet in a float only where each integer is exact in it: up to 32 bits. The
    order of the claims does not matter. TypeConflict names the first two claims that cannot meet.
    """
    claims = _distinct(claims)
    kinds = [kind for kind, _ in claims]
    for test, nested in _NESTED:
        if all(map(test, kinds)):
            return nested(claims, path)
    if len(kinds) == 1:
        return kinds[0]
    if any(isinstance(kind, pa.BaseExtensionType) for kind in kinds):
        return join([(_storage(kind), who) for kind, who in claims], path)
    for one, other in combinations(claims, 2):
        if not _meet(one[0], other[0]):
            raise TypeConflict(path, one, other)
    return _promoted(claims, path)


def _distinct(claims: Sequence[Claim]) -> list[Claim]:
    """One claim a type, the first; nulls only where there is nothing else."""
    first: dict[pa.DataType, str] = {}
    for kind, who in claims:
        first.setdefault(kind, who)
    return [claim for claim in first.items() if not pt.is_null(claim[0])] or list(first.items())


def _join_structs(claims: Sequence[Claim], path: str) -> pa.DataType:
    children: dict[str, list[Claim]] = {}
    for kind, who in claims:
        names = [child.name for child in kind.fields]
        # Parquet has no struct without fields, and a name that stands twice cannot be asked for.
        if not names or len(set(names)) < len(names):
            raise TypeConflict(path, (kind, who), (kind, who))
        for child in kind.fields:
            children.setdefault(child.name, []).append((child.type, who))
    return pa.struct([(name, join(child, f"{path}.{name}")) for name, child in children.items()])


def _join_lists(claims: Sequence[Claim], path: str) -> pa.DataType:
    values = join([(kind.value_type, who) for kind, who in claims], f"{path}[]")
    return _list_like([kind for kind, _ in claims], values)


def _join_maps(claims: Sequence[Claim], path: str) -> pa.DataType:
    keys = join([(kind.key_type, who) for kind, who in claims], f"{path}.key")
    values = join([(kind.item_type, who) for kind, who in claims], f"{path}.value")
    return pa.map_(keys, values)


_Nested = Callable[[Sequence[Claim], str], pa.DataType]
_NESTED: tuple[tuple[Callable[[pa.DataType], bool], _Nested], ...] = (
    (pt.is_struct, _join_structs),
    (is_list, _join_lists),
    (pt.is_map, _join_maps),
)


def _list_like(kinds: Sequence[pa.DataType], values: pa.DataType) -> pa.DataType:
    """A list of `values` in a layout that holds lists of all `kinds`."""
    if all(pt.is_fixed_size_list(kind) for kind in kinds):
        sizes = {kind.list_size for kind in kinds}
        return pa.list_(values, sizes.pop()) if len(sizes) == 1 else pa.list_(values)
    large = any(pt.is_large_list(kind) or pt.is_large_list_view(kind) for kind in kinds)
    return pa.large_list(values) if large else pa.list_(values)


def _storage(kind: pa.DataType) -> pa.DataType:
    return plain(kind.storage_type) if isinstance(kind, pa.BaseExtensionType) else kind


_FAMILIES: tuple[Callable[[pa.DataType], bool], ...] = (
    pt.is_boolean, pt.is_integer, pt.is_floating, pt.is_decimal, is_string, is_binary,
    pt.is_timestamp, pt.is_date, pt.is_time, pt.is_duration,
)  # fmt: skip


def _meet(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether some type holds both exactly, as far as two types can tell."""
    if pt.is_floating(one) and pt.is_integer(other):
        return bool(other.bit_width <= 32)
    if pt.is_integer(one) and pt.is_floating(other):
        return bool(one.bit_width <= 32)
    if pt.is_timestamp(one) and pt.is_timestamp(other):
        return bool(one.tz == other.tz)
    if pa.uint64() in (one, other):
        return bool(pt.is_unsigned_integer(one) and pt.is_unsigned_integer(other))
    return any(family(one) and family(other) for family in _FAMILIES)


def _promoted(claims: Sequence[Claim], path: str) -> pa.DataType:
    """What Arrow promotes to, once the mixtures that it would round are out."""
    kinds = sorted((kind for kind, _ in claims), key=str)
    schemas = [pa.schema([(path, kind)]) for kind in kinds]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise TypeConflict(path, claims[0], claims[-1]) from error
