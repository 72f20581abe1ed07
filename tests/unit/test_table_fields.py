"""A task's fields of every kind, found in tables and in lines of JSON."""

import json
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest

from labelmill.errors import ConfigError
from labelmill.ops.fields import Field, flat, parse
from labelmill.ops.json_fields import field_values
from labelmill.ops.json_values import BadLine
from labelmill.ops.table_fields import table_field
from labelmill.plan.columns import bind


def checked(values, kind, column_type=None, *, required=True):
    table = pa.table({"c": pa.array(values, column_type)})
    found = table_field(table, "f", "c", kind, required=required)
    return found.values.to_pylist(), found.error.to_pylist()


def test_notation_names_kinds_options_and_alternatives():
    assert parse("text|messages:json") == (Field(name="text"), Field(name="messages", kind="json"))
    assert flat(("image:media", "text_pair?")) == (
        Field(name="image", kind="media"),
        Field(name="text_pair", optional=True),
    )
    with pytest.raises(AssertionError, match="unknown kind"):
        parse("image:picture")


def test_json_lists_and_structs_become_json_text():
    values, errors = checked([["a", "\u00e9"], None, []], "json", pa.list_(pa.string()))
    assert json.loads(values[0]) == ["a", "\u00e9"]
    assert values[1:] == [None, "[]"]
    assert errors == [None, "field 'f' is null", None]
    messages = [[{"role": "user", "content": 'say "hi"'}]]
    values, errors = checked(messages, "json")
    assert json.loads(values[0]) == messages[0]
    assert errors == [None]


def test_json_a_string_is_json_text_already():
    assert checked(['["a"]', "plain"], "json") == (['["a"]', "plain"], [None, None])


def test_json_of_decimals_and_dates_is_what_they_say():
    """A label is no JSON text of a string, and ratings of a database are numbers."""
    decimals = [Decimal("4.5"), None]
    assert checked(decimals, "json", pa.decimal128(3, 1))[0] == ["4.5", None]
    assert checked([date(2020, 1, 2), None], "json", pa.date32())[0] == ["2020-01-02", None]
    assert checked([decimals[:1]], "json", pa.list_(pa.decimal128(3, 1)))[0] == ['["4.5"]']


def test_json_of_the_json_type_is_json_text_already():
    """As DuckDB writes a column of JSON to Parquet."""
    column = pa.array(['[{"role": "user"}]', None], pa.json_())
    found = table_field(pa.table({"c": column}), "f", "c", "json", required=True)
    assert found.values.to_pylist() == ['[{"role": "user"}]', None]


@pytest.mark.parametrize("kind", [pa.list_(pa.uint8()), pa.int64()])
def test_struct_whose_bytes_are_no_bytes_is_no_media(kind):
    inner = pa.struct([("bytes", kind), ("path", pa.string())])
    values, errors = checked([{"bytes": None, "path": "a.png"}], "media", inner)
    assert values == [None]
    assert "expected bytes, a path, or a struct" in errors[0]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([b"x", None], pa.binary(), {"bytes": b"x", "path": None}),
        (["a.png", None], pa.string(), {"bytes": None, "path": "a.png"}),
        ([{"bytes": b"x", "path": "a"}, None], None, {"bytes": b"x", "path": "a"}),
        ([{"path": "a"}, {"path": None}], None, {"bytes": None, "path": "a"}),
    ],
)
def test_media_come_as_bytes_and_path_and_nothing_is_bad(values, kind, expected):
    found, errors = checked(values, "media", kind)
    assert found == [expected, None]
    assert errors == [None, "field 'f' is null"]
    assert checked(values, "media", kind, required=False)[1] == [None, None]


def test_media_of_another_type_names_it():
    values, errors = checked([1, 2], "media")
    assert values == [None, None]
    assert errors[0] == (
        "field 'f': column 'c' is int64, expected bytes, a path, or a struct of bytes and path"
    )


def test_media_in_an_absent_column_are_null():
    found = table_field(pa.table({"other": [1]}), "f", "c", "media", required=True)
    assert found.values.to_pylist() == [None]
    assert "no column 'c'" in found.error[0].as_py()


KINDS = {"words": "json", "image": "media"}


@pytest.mark.parametrize(
    ("row", "fields", "expected"),
    [
        ({"words": ["a", 1]}, {"words": "words"}, ['["a", 1]']),
        ({"image": "x.png"}, {"image": "image"}, [{"bytes": None, "path": "x.png"}]),
        ({"image": {"path": "x"}}, {"image": "image"}, [{"bytes": None, "path": "x"}]),
    ],
)
def test_lines_of_json_give_the_same_kinds(row, fields, expected):
    assert field_values(row, fields, frozenset(), KINDS) == expected


@pytest.mark.parametrize("row", [{}, {"image": None}, {"image": {"bytes": "x"}}, {"image": 3}])
def test_lines_of_json_without_a_path_are_bad(row):
    found = field_values(row, {"image": "image"}, frozenset(), KINDS)
    assert isinstance(found, BadLine)
    assert found.reason.startswith("field 'image'")


def test_bind_takes_the_alternative_that_is_there_or_named():
    notation = ("text|messages:json",)
    both = pa.schema([("messages", pa.string()), ("text", pa.string())])
    assert bind(notation, {}, both).columns == {"text": "text"}
    assert bind(notation, {"messages": "messages"}, both).columns == {"messages": "messages"}
    only = bind(notation, {}, pa.schema([("messages", pa.string())]))
    assert only.columns == {"messages": "messages"}
    assert only.kinds == {"messages": "json"}


def test_bind_takes_what_may_be_absent_where_only_a_sample_was_seen():
    """Else a second text that turns up later would be left out of every row, without a word."""
    notation, seen = ("text", "text_pair?"), pa.schema([("text", pa.string())])
    assert bind(notation, {}, seen).columns == {"text": "text"}
    assert bind(notation, {}, seen, sampled=True).columns == {
        "text": "text",
        "text_pair": "text_pair",
    }


def test_bind_refuses_two_alternatives_and_none():
    notation = ("text|messages:json",)
    with pytest.raises(ConfigError, match="exclude each other"):
        bind(notation, {"text": "a", "messages": "b"}, pa.schema([("a", pa.string())]))
    with pytest.raises(ConfigError, match=r"source\.columns\.text: no shard has a column 'text'"):
        bind(notation, {}, pa.schema([("body", pa.string())]))
