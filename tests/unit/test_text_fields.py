"""Fields found in tables, with a verdict on each row."""

import pyarrow as pa
import pytest

from labelmill.ops.text_fields import TEXT_LIMIT, Checked, find, kept_column, text_field
from tests.support.parquet_damage import not_utf8

TABLE = pa.table(
    {
        "text": ["a", None, "c"],
        "n": [1, None, 3],
        "review": [{"body": "x", "stars": {"text": "y"}}, None, {"body": None, "stars": None}],
        "a.b": ["whole", "name", None],
        "a": [{"b": "below"}] * 3,
    }
)


def field(table: pa.Table, path: str, *, required: bool = True) -> Checked:
    return text_field(table, "text", path, required=required)


def test_text_field_good_strings_come_as_large_string() -> None:
    found = field(TABLE, "text", required=False)
    assert found.values.type == pa.large_string()
    assert found.values.to_pylist() == ["a", None, "c"]
    assert found.error.to_pylist() == found.text.to_pylist() == [None] * 3


def test_text_field_null_is_an_error_where_required() -> None:
    assert field(TABLE, "text").error.to_pylist() == [None, "field 'text' is null", None]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("review.body", ["x", None, None]),
        ("review.stars.text", ["y", None, None]),
        ("a.b", ["whole", "name", None]),
    ],
)
def test_text_field_path_with_dots_reaches_into_structs(
    path: str, expected: list[str | None]
) -> None:
    assert field(TABLE, path, required=False).values.to_pylist() == expected


def test_find_falls_back_to_the_struct_where_no_column_has_the_dots() -> None:
    table = pa.table({"a.b": [{"c": 1}], "a": [{"b": {"d": "deep"}}]})
    assert find(table, "a.b.c").to_pylist() == [1]
    assert find(table, "a.b.d").to_pylist() == ["deep"]
    assert find(table, "a.x") is None
    assert find(table, "a.b.d.e") is None


def test_text_field_absent_column_is_an_error_of_every_row_where_required() -> None:
    assert (
        field(TABLE, "body").error.to_pylist()
        == ["field 'text': no column 'body' in this shard"] * 3
    )
    optional = field(TABLE, "review.nothing", required=False)
    assert optional.error.to_pylist() == optional.values.to_pylist() == [None] * 3


def test_text_field_of_another_type_is_an_error_of_each_row_with_a_value() -> None:
    reason = "field 'text': column 'n' is int64, expected a string"
    found = field(TABLE, "n")
    assert found.values.to_pylist() == [None] * 3
    assert found.error.to_pylist() == [reason, "field 'text' is null", reason]
    assert found.text.to_pylist() == ["1", None, "3"]
    assert field(TABLE, "n", required=False).error.to_pylist() == [reason, None, reason]


def test_text_field_that_is_a_struct_is_an_error_without_text() -> None:
    found = field(TABLE, "a")
    assert found.error[0].as_py().startswith("field 'text': column 'a' is struct<b: string>")
    assert found.text.to_pylist() == [None] * 3
    views = pa.table({"a": pa.array([["x"]] * 3, pa.list_(pa.string_view()))})  # as Polars has them
    assert field(views, "a").text.to_pylist() == [None] * 3


def test_text_field_of_bytes_shows_what_can_be_read_of_them() -> None:
    found = field(pa.table({"x": [b"caf\xe9", None]}), "x", required=False)
    assert found.error.to_pylist() == [
        "field 'text': column 'x' is binary, expected a string",
        None,
    ]
    assert found.text.to_pylist() == ["caf\ufffd", None]


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["a", None], pa.large_string()),
        pa.array(["a", None], pa.string_view()),
        pa.array(["a", None]).dictionary_encode(),
        pa.array(["a", None], pa.json_()),
    ],
    ids=lambda array: str(array.type),
)
def test_text_field_takes_strings_of_every_layout(array: pa.Array) -> None:
    found = field(pa.table({"x": array}), "x")
    assert found.values.type == pa.large_string()
    assert found.values.to_pylist() == ["a", None]
    assert found.error.to_pylist() == [None, "field 'text' is null"]


def test_text_field_of_null_type_is_null_in_every_row() -> None:
    found = field(pa.table({"x": pa.nulls(2)}), "x")
    assert found.values.type == pa.large_string()
    assert found.error.to_pylist() == ["field 'text' is null"] * 2


def test_text_field_invalid_utf8_is_an_error_that_shows_the_beginning() -> None:
    long = b"\xff" + b"z" * 5000
    found = field(pa.table({"x": not_utf8([b"good", long, None])}), "x", required=False)
    assert found.values.to_pylist() == ["good", None, None]
    assert found.error.to_pylist() == [None, "field 'text': invalid UTF-8 in column 'x'", None]
    assert found.text[1].as_py() == "\ufffd" + "z" * (TEXT_LIMIT - 1)
    found.values.validate(full=True)


def test_kept_column_with_invalid_utf8_below_loses_the_row_only() -> None:
    struct = pa.StructArray.from_arrays(
        [not_utf8([b"good", b"\xff", None]), pa.array([1, 2, 3])], ["a", "b"]
    )
    found = kept_column(pa.chunked_array([struct]), "s")
    assert found.values.to_pylist() == [{"a": "good", "b": 1}, None, {"a": None, "b": 3}]
    assert found.error.to_pylist() == [None, "column 's': invalid UTF-8", None]
    assert found.text.to_pylist() == [None] * 3


def test_kept_column_of_any_type_stays_as_it_is() -> None:
    for name in TABLE.column_names:
        found = kept_column(TABLE[name], name)
        assert found.values.equals(TABLE[name])
        assert found.error.null_count == 3


def test_text_field_of_an_empty_table_is_empty() -> None:
    for table in (pa.table({}), TABLE.slice(0, 0)):
        for path in ("text", "n", "nothing"):
            assert len(field(table, path).values) == len(field(table, path).error) == 0


def test_kept_column_of_views_with_invalid_utf8_loses_the_row_only() -> None:
    views = not_utf8([b"good", b"\xff", None]).cast(pa.large_binary()).cast(pa.binary_view())
    strings = pa.Array.from_buffers(pa.string_view(), 3, views.buffers())
    found = kept_column(pa.chunked_array([strings]), "v")
    assert found.values.to_pylist() == ["good", None, None]
    assert found.error.to_pylist() == [None, "column 'v': invalid UTF-8", None]
