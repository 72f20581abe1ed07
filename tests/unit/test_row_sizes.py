"""Sizes of rows: exact by type, and independent of how Arrow lays values out."""

from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelmill.ops.row_sizes import row_sizes

STRINGS = st.lists(st.none() | st.text(max_size=5))
NESTED = st.lists(
    st.none()
    | st.fixed_dictionaries(
        {
            "name": st.none() | st.text(max_size=3),
            "tags": st.none() | st.lists(st.none() | st.text(max_size=3), max_size=3),
            "counts": st.none()
            | st.lists(st.tuples(st.text(max_size=2), st.none() | st.integers(0, 9)), max_size=2),
        }
    )
)
NESTED_TYPE = pa.struct(
    [
        ("name", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("counts", pa.map_(pa.string(), pa.int16())),
    ]
)


def plainly(value: object) -> int:
    """Bytes of a value of NESTED, one by one."""
    if value is None:
        return 0
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, int):
        return 2
    children = value.values() if isinstance(value, dict) else value
    return sum(plainly(child) for child in children)


@pytest.mark.parametrize(
    ("array", "sizes"),
    [
        (pa.array([1, None, 3], pa.int32()), [4, 0, 4]),
        (pa.array([1.5, None], pa.float16()), [2, 0]),
        (pa.array([True, None, False]), [1, 0, 1]),
        (pa.nulls(2), [0, 0]),
        (pa.array(["", "a", "\u00e9", None]), [0, 1, 2, 0]),
        (pa.array(["ab", None], pa.large_string()), [2, 0]),
        (pa.array(["ab", None, "more than twelve"], pa.string_view()), [2, 0, 16]),
        (pa.array([b"ab", None], pa.binary_view()), [2, 0]),
        (pa.array([b"abc", None], pa.binary(3)), [3, 0]),
        (pa.array([Decimal("1.5"), None], pa.decimal128(5, 2)), [16, 0]),
        (pa.array([date(2024, 1, 1), None]), [4, 0]),
        (pa.array([1, None], pa.timestamp("us", "UTC")), [8, 0]),
        (pa.array([[1, 2], None, []], pa.list_(pa.int16())), [4, 0, 0]),
        (pa.array([[1, 2], None, []], pa.large_list(pa.int16())), [4, 0, 0]),
        (pa.array([[1, 2], None, []], pa.list_view(pa.int16())), [4, 0, 0]),
        (pa.array([[1, 2], None, [3, None]], pa.list_(pa.int16(), 2)), [4, 0, 2]),
        (pa.array([{"a": 1, "b": "xy"}, None, {"a": None, "b": "z"}]), [10, 0, 1]),
        (pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int8())), [2, 0, 0]),
        (pa.array(["abc", None, "abc", "d"]).dictionary_encode(), [3, 0, 3, 1]),
        (pa.array([None, None], pa.dictionary(pa.int8(), pa.string())), [0, 0]),
        (pa.array(['{"a":1}', None], pa.json_()), [7, 0]),
        (pa.array([b"0" * 16, None], pa.uuid()), [16, 0]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_row_sizes_of_each_type_count_values_only(array: pa.Array, sizes: list[int]) -> None:
    assert row_sizes(array).tolist() == sizes
    assert row_sizes(array).dtype == np.int64
    assert row_sizes(array.slice(1)).tolist() == sizes[1:]
    assert row_sizes(array.slice(0, 0)).tolist() == []


def test_row_sizes_of_a_table_are_sums_over_its_columns() -> None:
    table = pa.table({"a": [1, None], "b": ["xy", "z"]})
    assert row_sizes(table).tolist() == [10, 1]
    assert row_sizes(table.to_batches()[0]).tolist() == [10, 1]


def test_row_sizes_of_a_table_without_columns_are_zeros() -> None:
    table = pa.table({"a": [1, 2]}).select([])
    assert row_sizes(table).tolist() == [0, 0]


@given(values=NESTED, cut=st.integers(0, 9))
def test_row_sizes_of_nested_values_equal_a_plain_count_however_chunked(
    values: list[object], cut: int
) -> None:
    array = pa.array(values, NESTED_TYPE)
    chunked = pa.chunked_array([array.slice(0, cut), array.slice(cut)], NESTED_TYPE)
    expected = [plainly(value) for value in values]
    assert row_sizes(array).tolist() == expected
    assert row_sizes(chunked).tolist() == expected


@given(values=STRINGS)
def test_row_sizes_of_strings_do_not_depend_on_the_layout(values: list[str | None]) -> None:
    plain = pa.array(values, pa.string())
    expected = [plainly(value) for value in values]
    for array in (plain, plain.cast(pa.large_string()), plain.cast(pa.string_view())):
        assert row_sizes(array).tolist() == expected
    assert row_sizes(plain.dictionary_encode()).tolist() == expected


@given(values=NESTED, hidden=st.lists(st.booleans(), max_size=8))
def test_row_sizes_do_not_count_what_lies_under_a_null(
    values: list[object], hidden: list[bool]
) -> None:
    values = values[: len(hidden)]
    mask = pa.array(hidden[: len(values)], pa.bool_())
    array = pa.array(values, NESTED_TYPE)
    children = [array.field(place) for place in range(3)]
    covered = pa.StructArray.from_arrays(children, fields=list(NESTED_TYPE), mask=mask)
    expected = [
        0 if hide else plainly(value) for value, hide in zip(values, mask.to_pylist(), strict=True)
    ]
    assert row_sizes(covered).tolist() == expected
