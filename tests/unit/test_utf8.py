"""Strings that are not UTF-8, found at any depth."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelmill.ops.utf8 import invalid_utf8, readable
from tests.support.parquet_damage import not_utf8

VALUES = [b"good", b"\xff\xfe", None, "\u00e9".encode("latin-1"), "\u00e9".encode()]
BAD = [False, True, False, True, False]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()], ids=str)
def test_invalid_utf8_marks_the_bad_strings(kind: pa.DataType) -> None:
    assert invalid_utf8(pa.chunked_array([not_utf8(VALUES, kind)])).tolist() == BAD


def test_invalid_utf8_looks_into_nested_values() -> None:
    strings = not_utf8(VALUES)
    struct = pa.StructArray.from_arrays([strings], ["a"])
    lists = pa.ListArray.from_arrays([0, 1, 1, 3, 5], strings)
    codes = pa.DictionaryArray.from_arrays(pa.array([1, 0, None]), strings)
    extension = pa.ExtensionArray.from_storage(pa.json_(), strings)
    assert invalid_utf8(pa.chunked_array([struct])).tolist() == BAD
    assert invalid_utf8(pa.chunked_array([lists])).tolist() == [False, False, True, True]
    assert invalid_utf8(pa.chunked_array([codes])).tolist() == [True, False, False]
    assert invalid_utf8(pa.chunked_array([extension])).tolist() == BAD


def test_invalid_utf8_looks_into_each_chunk() -> None:
    strings = not_utf8(VALUES)
    column = pa.chunked_array([strings.slice(3), strings.slice(0, 1), strings.slice(1, 1)])
    assert invalid_utf8(column).tolist() == [True, False, False, True]
    assert invalid_utf8(pa.chunked_array([], pa.string())).tolist() == []


def test_invalid_utf8_of_other_types_is_false() -> None:
    assert invalid_utf8(pa.chunked_array([[1, None]])).tolist() == [False, False]
    assert invalid_utf8(pa.chunked_array([[b"\xff"]])).tolist() == [False]


@given(values=st.lists(st.none() | st.binary(max_size=4)))
def test_invalid_utf8_agrees_with_decoding(values: list[bytes | None]) -> None:
    def decodes(value: bytes) -> bool:
        try:
            value.decode()
        except UnicodeDecodeError:
            return False
        return True

    expected = [value is not None and not decodes(value) for value in values]
    assert invalid_utf8(pa.chunked_array([not_utf8(values)])).tolist() == expected


def test_readable_replaces_what_is_no_utf8_and_cuts() -> None:
    column = pa.chunked_array([not_utf8([b"a\xffb", None, "\u00e9\u00e9\u00e9".encode()])])
    assert readable(column, 2).to_pylist() == ["a\ufffd", None, "\u00e9\u00e9"]
    assert readable(pa.chunked_array([[b"\xffz"]]), 9).to_pylist() == ["\ufffdz"]
