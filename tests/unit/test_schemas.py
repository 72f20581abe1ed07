"""One schema for many shards, and tables cast to it."""

from itertools import permutations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelmill.errors import InputError
from labelmill.ops.schemas import JSON_TEXT, cast, plain_schema, unify

INTS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32()]
LEAVES = [*INTS, pa.float32(), pa.string(), pa.large_string(), pa.null(), pa.timestamp("ms")]
TYPES = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: (
        inner.map(pa.list_)
        | st.lists(inner, min_size=1, max_size=2).map(
            lambda kinds: pa.struct([(f"f{place}", kind) for place, kind in enumerate(kinds)])
        )
    ),
    max_leaves=3,
)


def united(*kinds: pa.DataType) -> pa.DataType:
    shards = [(f"{place}.parquet", pa.schema([("x", kind)])) for place, kind in enumerate(kinds)]
    return unify(shards).field("x").type


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ((pa.null(), pa.int8()), pa.int8()),
        ((pa.null(),), pa.null()),
        ((pa.int8(), pa.int64()), pa.int64()),
        ((pa.uint8(), pa.int8()), pa.int16()),
        ((pa.uint32(), pa.int32()), pa.int64()),
        ((pa.float32(), pa.float64()), pa.float64()),
        ((pa.int16(), pa.float32()), pa.float32()),
        ((pa.int32(), pa.float32()), pa.float64()),
        ((pa.string(), pa.large_string()), pa.large_string()),
        ((pa.string(), pa.string_view()), pa.large_string()),
        ((pa.string_view(),), pa.large_string()),
        ((pa.dictionary(pa.int8(), pa.string()),), pa.string()),
        ((pa.dictionary(pa.int8(), pa.string()), pa.string()), pa.string()),
        ((pa.binary(), pa.large_binary()), pa.large_binary()),
        ((pa.binary(4), pa.binary(8)), pa.binary()),
        ((pa.timestamp("s"), pa.timestamp("us")), pa.timestamp("us")),
        ((pa.timestamp("s", "UTC"), pa.timestamp("ms", "UTC")), pa.timestamp("ms", "UTC")),
        ((pa.duration("s"), pa.duration("ns")), pa.duration("ns")),
        ((pa.time32("s"), pa.time64("us")), pa.time64("us")),
        ((pa.decimal128(5, 2), pa.decimal128(10, 4)), pa.decimal128(10, 4)),
        ((pa.list_(pa.int8()), pa.list_(pa.int64())), pa.list_(pa.int64())),
        ((pa.list_(pa.int8()), pa.large_list(pa.int8())), pa.large_list(pa.int8())),
        ((pa.list_(pa.int8(), 2), pa.list_(pa.int8(), 3)), pa.list_(pa.int8())),
        ((pa.list_(pa.int8(), 2), pa.list_(pa.int16(), 2)), pa.list_(pa.int16(), 2)),
        ((pa.list_view(pa.int8()),), pa.list_(pa.int8())),
        ((pa.list_(pa.null()), pa.list_(pa.string())), pa.list_(pa.string())),
        (
            (pa.struct([("a", pa.int8())]), pa.struct([("b", pa.string()), ("a", pa.int16())])),
            pa.struct([("a", pa.int16()), ("b", pa.string())]),
        ),
        (
            (pa.map_(pa.string(), pa.int8()), pa.map_(pa.string(), pa.int16())),
            pa.map_(pa.string(), pa.int16()),
        ),
        ((pa.json_(), pa.string()), pa.string()),
        ((pa.uuid(), pa.null()), pa.uuid()),
    ],
    ids=str,
)
def test_unify_promotes_to_a_type_that_holds_both(
    kinds: tuple[pa.DataType, ...], expected: pa.DataType
) -> None:
    for order in permutations(kinds):
        found = united(*order)
        if not pa.types.is_struct(found):
            assert found == expected
    assert united(*kinds) == expected


@pytest.mark.parametrize(
    "kinds",
    [
        (pa.int64(), pa.string()),
        (pa.int64(), pa.float64()),
        (pa.uint64(), pa.int8()),
        (pa.bool_(), pa.int8()),
        (pa.string(), pa.binary()),
        (pa.timestamp("s"), pa.timestamp("s", "UTC")),
        (pa.date32(), pa.timestamp("s")),
        (pa.decimal128(5, 2), pa.float64()),
        (pa.list_(pa.int8()), pa.int8()),
        (pa.list_(pa.int8()), pa.list_(pa.string())),
        (pa.struct([("a", pa.int8())]), pa.struct([("a", pa.string())])),
    ],
    ids=str,
)
def test_unify_of_types_that_no_type_holds_is_refused(kinds: tuple[pa.DataType, ...]) -> None:
    for order in permutations(kinds):
        with pytest.raises(InputError):
            united(*order)


def test_unify_conflict_names_the_column_both_shards_and_both_types() -> None:
    schemas = [
        ("a.parquet", pa.schema([("x", pa.struct([("y", pa.int8())]))])),
        ("b.parquet", pa.schema([("x", pa.struct([("y", pa.int64())]))])),
        ("c.parquet", pa.schema([("x", pa.struct([("y", pa.string())]))])),
    ]
    with pytest.raises(InputError) as refused:
        unify(schemas)
    assert str(refused.value).startswith(
        "column 'x.y' is int8 in shard 'a.parquet' but string in shard 'c.parquet'"
    )


def test_unify_takes_columns_in_order_of_appearance_and_makes_all_nullable() -> None:
    first = pa.schema(
        [pa.field("b", pa.int8(), nullable=False), ("a", pa.string())], {"pandas": "x"}
    )
    second = pa.schema(
        [("c", pa.bool_()), pa.field("b", pa.int8(), metadata={"PARQUET:field_id": "1"})]
    )
    united = unify([("1", first), ("2", second)])
    assert united.equals(
        pa.schema([("b", pa.int8()), ("a", pa.string()), ("c", pa.bool_())]), check_metadata=True
    )


def test_unify_makes_nested_fields_nullable() -> None:
    kind = pa.struct([pa.field("a", pa.int8(), nullable=False)])
    assert united(kind).field("a").nullable


def test_unify_of_many_equal_schemas_reads_them_as_a_stream() -> None:
    schema = pa.schema([("text", pa.string()), ("id", pa.int64())])
    assert unify((f"{place}.parquet", schema) for place in range(3000)) == schema


def test_unify_of_nothing_has_no_columns() -> None:
    assert unify([]) == pa.schema([])


def test_unify_of_twin_columns_is_refused_naming_the_shard() -> None:
    with pytest.raises(InputError, match=r"shard 'a': more than one column is called 'x'"):
        unify([("a", pa.schema([("x", pa.int8()), ("x", pa.int8())]))])
    twins = pa.struct([("y", pa.int8()), ("y", pa.int8())])
    with pytest.raises(InputError, match="'x'"):
        unify([("a", pa.schema([("x", twins)]))])


@given(kinds=st.lists(TYPES, min_size=1, max_size=4))
def test_unify_does_not_depend_on_order_or_grouping(kinds: list[pa.DataType]) -> None:
    def outcome(*kinds: pa.DataType) -> object:
        try:
            kind = united(*kinds)
        except InputError:
            return None
        return cast(pa.table({"x": pa.nulls(0, kind)}), pa.schema([("x", kind)])) and _sorted(kind)

    whole = outcome(*kinds)
    assert outcome(*reversed(kinds)) == whole
    assert outcome(*kinds, *kinds) == whole
    if whole is not None:
        assert outcome(united(*kinds)) == whole


def _sorted(kind: pa.DataType) -> object:
    """The type with struct fields in the order of their names."""
    if pa.types.is_struct(kind):
        return sorted((child.name, _sorted(child.type)) for child in kind.fields)
    if pa.types.is_list(kind):
        return ["list", _sorted(kind.value_type)]
    return str(kind)


JSON = pa.field("x", pa.string(), metadata=dict(JSON_TEXT))


def test_unify_json_text_with_anything_else_is_a_conflict() -> None:
    shards = [("a", pa.schema([("x", pa.int64())])), ("b", pa.schema([JSON]))]
    with pytest.raises(InputError, match="'x' is int64 in shard 'a'"):
        unify(shards)


def test_unify_json_text_alone_or_with_nulls_stays_json_text() -> None:
    shards = [("a", pa.schema([("x", pa.null())])), ("b", pa.schema([JSON]))]
    assert unify(shards).equals(pa.schema([JSON]), check_metadata=True)


def test_cast_orders_promotes_fills_and_drops_columns() -> None:
    table = pa.table({"b": pa.array([1, None], pa.int8()), "extra": ["x", "y"]})
    schema = pa.schema([("a", pa.list_(pa.string())), ("b", pa.int64())])
    expected = pa.table({"a": pa.nulls(2, pa.list_(pa.string())), "b": [1, None]}, schema=schema)
    assert cast(table, schema).equals(expected)


def test_cast_reaches_into_nested_columns() -> None:
    value = [[{"a": 1}], None, []]
    table = pa.table({"x": pa.array(value, pa.list_(pa.struct([("a", pa.int8())])))})
    kind = pa.large_list(pa.struct([("b", pa.string()), ("a", pa.int64())]))
    found = cast(table, pa.schema([("x", kind)]))
    assert found["x"].type == kind
    assert found["x"].to_pylist() == [[{"b": None, "a": 1}], None, []]


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["a", None], pa.string_view()),
        pa.array(["a", None]).dictionary_encode(),
        pa.array(["a", None], pa.json_()),
        pa.array(["a", None], pa.string()),
    ],
    ids=lambda array: str(array.type),
)
def test_cast_takes_strings_of_every_layout(array: pa.Array) -> None:
    found = cast(pa.table({"x": array}), pa.schema([("x", pa.large_string())]))
    assert found["x"].to_pylist() == ["a", None]


VIEW = pa.list_view(pa.int64())
LISTS = [[1], [2, 3], None, [], [4]]


@pytest.mark.parametrize(
    "array",
    [
        pa.array(LISTS, VIEW),
        pa.array(LISTS, pa.large_list_view(pa.int64())),
        pa.ListViewArray.from_arrays(pa.array([1, 0, 0]), pa.array([2, 2, 0]), pa.array([1, 2, 3])),
        pa.array([["a", None], None, ["b"]], pa.list_view(pa.string_view())),
        pa.array([LISTS, None, LISTS[:2]], pa.list_view(VIEW)),
        pa.array([LISTS, None, LISTS[:2]], pa.list_(VIEW)),
        pa.array([LISTS[:2], None, LISTS[1:3]], pa.list_(VIEW, 2)),
        pa.array([{"a": [1]}, None, {"a": None}, {"a": [2, 3]}], pa.struct([("a", VIEW)])),
        pa.array([[("a", [1])], None, [("b", None), ("c", [2])]], pa.map_(pa.string(), VIEW)),
    ],
    ids=lambda array: str(array.type),
)
def test_cast_keeps_the_values_of_list_views(array: pa.Array) -> None:
    for part in (array, array[1:], array[1:-1], array[:0]):
        table = pa.table({"x": part})
        found = cast(table, plain_schema(table.schema))
        found.validate(full=True)
        assert found["x"].to_pylist() == part.to_pylist()


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (pa.array(["1"]), pa.int64()),
        (pa.array([1]), pa.string()),
        (pa.array([1], pa.int64()), pa.int32()),
        (pa.array([1.0]), pa.float32()),
        (pa.array([True]), pa.int8()),
        (pa.array([2**40], pa.timestamp("s")), pa.timestamp("ns")),
    ],
    ids=str,
)
def test_cast_that_is_no_promotion_is_refused_naming_source_and_column(
    array: pa.Array, kind: pa.DataType
) -> None:
    with pytest.raises(InputError, match=r"^shard 's': column 'x' "):
        cast(pa.table({"x": array}), pa.schema([("x", kind)]), source="shard 's'")


def test_cast_to_no_columns_keeps_the_rows() -> None:
    assert cast(pa.table({"x": [1, 2]}), pa.schema([])).num_rows == 2


@given(data=st.data())
def test_cast_to_the_unified_schema_keeps_every_value(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from([*INTS, pa.float32()]), min_size=1, max_size=3))
    if pa.int64() in kinds and pa.float32() in kinds:
        return
    schema = pa.schema([("x", united(*kinds))])
    for kind in kinds:
        integer = pa.types.is_integer(kind)
        low = 0 if pa.types.is_unsigned_integer(kind) else -(1 << kind.bit_width - 1)
        values = (
            st.integers(low, low + (1 << kind.bit_width) - 1) if integer else st.floats(width=32)
        )
        array = pa.array(data.draw(st.lists(values | st.none(), max_size=5)), kind)
        back = cast(pa.table({"x": array}), schema)["x"].cast(kind)
        assert back.combine_chunks().equals(array) or str(back.to_pylist()) == str(
            array.to_pylist()
        )


def test_plain_schema_keeps_the_mark_of_json_text_and_nothing_else() -> None:
    schema = pa.schema([JSON, pa.field("y", pa.string_view(), metadata={"a": "b"})], {"c": "d"})
    expected = pa.schema([JSON, ("y", pa.large_string())])
    assert plain_schema(schema).equals(expected, check_metadata=True)
