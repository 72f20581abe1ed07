"""Writing JSON Lines: values survive, lines keep their bytes."""

import datetime as dt
import decimal
import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelmill.errors import InputError
from labelmill.formats import jsonl
from labelmill.ops.json_types import json_text


def written(values: list[Any], kind: pa.DataType) -> list[str]:
    table = pa.table({"x": pa.chunked_array([pa.array(values, kind), pa.array(values[:1], kind)])})
    lines = jsonl.write(table, {}, None).decode().split("\n")[:-1]
    assert lines[-1] == lines[0]
    return [line.removeprefix('{"x": ').removesuffix("}") for line in lines[:-1]]


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (pa.null(), [None], ["null"]),
        (pa.bool_(), [True, False, None], ["true", "false", "null"]),
        (pa.uint64(), [2**64 - 1, None], ["18446744073709551615", "null"]),
        (pa.float32(), [0.98, 1e-5, 3.0, None, math.nan], ["0.98", "1e-05", "3.0", "null", "NaN"]),
        (pa.float16(), [np.float16(0.1)], ["0.1"]),
        (pa.float64(), [0.1, -0.0, math.inf, -math.inf], ["0.1", "-0.0", "Infinity", "-Infinity"]),
        (pa.string(), ['\u00e9 "/\\\n\u2028'], ['"\u00e9 \\"/\\\\\\n\u2028"']),
        (pa.string_view(), ["a"], ['"a"']),
        (pa.dictionary(pa.int8(), pa.string()), ["a", None], ['"a"', "null"]),
        (pa.binary(), [b"\xff\x00", None], ['"/wA="', "null"]),
        (pa.uuid(), [b"0" * 16, None], ['"30303030-3030-3030-3030-303030303030"', "null"]),
        (pa.date32(), [dt.date(2024, 1, 2)], ['"2024-01-02"']),
        (pa.time64("us"), [dt.time(1, 2, 3, 4)], ['"01:02:03.000004"']),
        (pa.timestamp("ms"), [1704164645006], ['"2024-01-02T03:04:05.006"']),
        (pa.timestamp("s", "Europe/Berlin"), [0], ['"1970-01-01T00:00:00Z"']),
        (pa.duration("ms"), [1500, -2000, None], ['"PT1.5S"', '"-PT2S"', "null"]),
        (pa.decimal128(5, 2), [decimal.Decimal("1.10")], ['"1.10"']),
        (pa.list_(pa.int8()), [[1, None], None, []], ["[1, null]", "null", "[]"]),
        (pa.list_(pa.int8(), 2), [[1, 2], None], ["[1, 2]", "null"]),
        (pa.large_list(pa.list_(pa.string())), [[["a"], []]], ['[["a"], []]']),
        (pa.struct([("a", pa.int8()), ("b\n", pa.float32())]), [{"a": 1, "b\n": 0.1}, None],
         ['{"a": 1, "b\\n": 0.1}', "null"]),
        (pa.struct([]), [{}], ["{}"]),
        (pa.map_(pa.string(), pa.int8()), [[("a", 1), ("b", None)], None, []],
         ['{"a": 1, "b": null}', "null", "{}"]),
        (pa.map_(pa.int8(), pa.int8()), [[(1, 2)]], ["[[1, 2]]"]),
    ],
)  # fmt: skip
def test_write_value_has_its_form(
    kind: pa.DataType, values: list[Any], expected: list[str]
) -> None:
    assert written(values, kind) == expected


def test_write_type_without_form_is_refused() -> None:
    with pytest.raises(InputError, match="month_day_nano_interval"):
        written([None], pa.month_day_nano_interval())


@given(st.lists(st.floats(width=32)))
def test_write_float32_is_the_shortest_that_comes_back(values: list[float]) -> None:
    texts = written([0.0, *values], pa.float32())
    back = np.array([float(text) for text in texts], np.float32)
    np.testing.assert_array_equal(back, np.array([0.0, *values], np.float32))
    for text, value in zip(texts[1:], values, strict=True):
        if math.isfinite(value):
            shorter = np.float32(np.format_float_scientific(np.float32(value), unique=True))
            assert np.float32(text) == shorter
            assert len(text) <= max(len(repr(value)), len(f"{value:.9e}"))


COLUMNS = {
    "i": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "f": (pa.float64(), st.floats()),
    "s": (pa.string(), st.text()),
    "l": (pa.list_(pa.string()), st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=3)),
    "n": (
        pa.struct([("a", pa.bool_())]),
        st.one_of(st.none(), st.fixed_dictionaries({"a": st.booleans()})),
    ),
}
ROWS = st.lists(
    st.fixed_dictionaries({name: st.one_of(st.none(), kind[1]) for name, kind in COLUMNS.items()}),
    min_size=1,
    max_size=5,
)
SCHEMA = pa.schema([(name, kind) for name, (kind, _) in COLUMNS.items()])


@given(ROWS)
def test_write_objects_come_back_as_they_were(rows: list[dict[str, Any]]) -> None:
    data = jsonl.write(pa.Table.from_pylist(rows, SCHEMA), {}, None)
    assert data == jsonl.write(pa.Table.from_pylist(rows, SCHEMA), {"any": "thing"}, None)
    found = [json.loads(line) for line in data.decode().split("\n")[:-1]]
    assert repr(found) == repr([{name: row[name] for name in COLUMNS} for row in rows])
    assert jsonl.part_rows(data) == len(rows)


def spliced(line: bytes | None, **columns: Any) -> bytes:
    table = pa.Table.from_pylist([columns])
    return jsonl.write(table, {}, pa.chunked_array([pa.array([line], pa.large_binary())]))


def test_write_spliced_line_keeps_every_other_byte() -> None:
    line = b' {"a" : 1.10, "\\u00e9":"}"} \t'
    assert spliced(line, label="x", score=None) == (
        b' {"a" : 1.10, "\\u00e9":"}", "label": "x", "score": null} \t\n'
    )
    assert spliced(b'{"a": {}}', b=1) == b'{"a": {}, "b": 1}\n'
    assert spliced(b'{"a":1 }', b=1) == b'{"a":1 , "b": 1}\n'


def test_write_spliced_empty_object_and_missing_line() -> None:
    assert spliced(b"{}", label="x") == b'{"label": "x"}\n'
    assert spliced(b" { } ", label="x") == b' { "label": "x"} \n'
    assert spliced(None, error="not JSON") == b'{"error": "not JSON"}\n'


def test_write_without_columns_keeps_lines() -> None:
    table = pa.table({"a": [1, 2]}).select([])
    lines = pa.chunked_array([pa.array([b'{"a": 1}', None], pa.large_binary())])
    assert jsonl.write(table, {}, lines) == b'{"a": 1}\n{}\n'
    assert jsonl.write(table, {}, None) == b"{}\n{}\n"


def test_write_empty_table_is_empty() -> None:
    assert jsonl.write(SCHEMA.empty_table(), {}, None) == b""


def test_write_json_text_is_spliced_as_it_is() -> None:
    inner = pa.struct([json_text("j"), pa.field("s", pa.string())])
    schema = pa.schema([json_text("x"), pa.field("n", inner), pa.field("s", pa.string())])
    row = {"x": '{"k" : 1.10}', "n": {"j": "[1e400]", "s": "[1]"}, "s": "[1]"}
    empty: dict[str, Any] = {"x": None, "n": {"j": None, "s": None}, "s": None}
    data = jsonl.write(pa.Table.from_pylist([row, empty], schema), {}, None)
    assert data.decode().splitlines() == [
        '{"x": {"k" : 1.10}, "n": {"j": [1e400], "s": "[1]"}, "s": "[1]"}',
        '{"x": null, "n": {"j": null, "s": null}, "s": null}',
    ]
