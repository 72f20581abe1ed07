"""Rows of lines: the same in bulk and one by one; kept values are exact or not there."""

import io
import json
import math
import subprocess
import sys
import textwrap
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from labelmill.ops import json_bulk, json_types
from labelmill.ops.decompression import Stream
from labelmill.ops.json_lines import LineReader, Lines
from labelmill.ops.json_rows import RowParser, RowPlan

NESTED = pa.struct([("a", pa.int64()), ("b", pa.list_(pa.float64()))])
TYPED = pa.schema(
    [
        ("text", pa.string()),
        ("n", pa.int64()),
        ("f", pa.float64()),
        ("t", pa.bool_()),
        ("z", pa.null()),
        ("l", pa.list_(pa.int64())),
        ("s", NESTED),
        ("d.e", pa.string()),
    ]
)
ALL = json_types.keeping_all(TYPED)
WITH_EXTRA = json_types.keeping_all(TYPED.append(json_types.extra("extra_json")))
PLANS = [
    RowPlan(fields={"text": "text"}),
    RowPlan(fields={"text": "s.c"}, optional=frozenset({"text"})),
    RowPlan(fields={"text": "text", "text_pair": "d.e"}, optional=frozenset({"text_pair"})),
    RowPlan(fields={"text": "text"}, kept=TYPED),
    RowPlan(fields={"text": "text"}, kept=pa.schema([("f", pa.float64()), ("n", pa.int64())])),
    RowPlan(fields={"text": "text"}, kept=ALL),
    RowPlan(fields={"text": "text"}, kept=WITH_EXTRA),
    RowPlan(fields={"text": "text"}, raw=True, reserved=frozenset({"n", "label"})),
    RowPlan(fields={"text": "text", "p": "x"}, optional=frozenset({"p"}), kept=WITH_EXTRA),
    RowPlan(fields={"text": "text", "p": "d.e"}, optional=frozenset({"p"}), kept=ALL),
]


def lines_of(data: bytes) -> Lines:
    lines = LineReader(Stream(io.BytesIO(data), "a.jsonl")).peek()
    assert lines is not None
    return lines


def slowly(plan: RowPlan, data: bytes) -> pa.Table:
    """Every line alone and by the exact parser."""
    return RowParser(plan)._one_by_one(lines_of(data))


def same(one: pa.Table, other: pa.Table) -> bool:
    """Equal to the last bit: signs of zeros count, NaN equals NaN."""
    return one.schema.equals(other.schema, check_metadata=True) and repr(one.to_pylist()) == repr(
        other.to_pylist()
    )


NUMBERS = st.one_of(
    st.integers(-5, 5),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from([-0.0, 0.0, 2.0**53, 2**53, 2**53 + 1, 2**63, -(2**63), 2**1024]),
)
TEXTS = st.one_of(
    st.text(max_size=8), st.sampled_from(['"label": 1', "d.e", "\ud800", "{[", "Inf, "])
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "b", "c", "e"]), inner, max_size=3),
    ),
    max_leaves=6,
)
LIKELY = {
    "text": TEXTS,
    "n": st.integers(-100, 100),
    "f": st.one_of(st.floats(-1e6, 1e6), st.integers(-9, 9)),
    "t": st.booleans(),
    "l": st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=3),
    "s": st.fixed_dictionaries(
        {}, optional={"a": st.integers(0, 9), "b": st.lists(st.floats(0, 1))}
    ),
    "d": st.fixed_dictionaries({}, optional={"e": TEXTS}),
    "d.e": TEXTS,
}
OPTIONAL = {name: values for name, values in LIKELY.items() if name != "text"}
OBJECTS = st.one_of(
    st.fixed_dictionaries({"text": TEXTS}, optional=OPTIONAL),
    st.dictionaries(
        st.one_of(st.sampled_from([*LIKELY, "z", "label", "x"]), TEXTS), VALUES, max_size=5
    ),
)
SPELLED = st.builds(
    lambda value, ascii_only, end: json.dumps(value, ensure_ascii=ascii_only).encode(
        errors="surrogatepass"
    )
    + end,
    OBJECTS, st.booleans(), st.sampled_from([b"\n", b"\r\n", b" \n", b"\n\n"]),
)  # fmt: skip
BROKEN = st.sampled_from(
    [b"[1]\n", b"{\n", b"}\n", b'{"text": "a"}{"text": "b"}\n', b'{"text": "a"\n']
)
DOCUMENTS = st.lists(st.one_of(SPELLED, SPELLED, SPELLED, BROKEN), min_size=1, max_size=6)


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS.map(b"".join), st.sampled_from(PLANS))
@example(b'{"text": "a"}{"text": "b"}\n{"text": \n"c"}\n', PLANS[0])
@example(b'{"text": "a"}\n{"text": "b", "f": -0}\n', PLANS[3])
@example(b'{"text": "a", "f": 9007199254740993}\n', PLANS[3])
@example(b'{"text": "a", "lab\\u0065l": 1}\n', PLANS[7])
@example(b'{"text": "a", "x": {"label": 1}}\n', PLANS[7])
@example(b'{"text": "a"}\n{"text": "b", "x": "c"}\n', PLANS[8])
@example(b'{"text": "a"}\n{"text": "b", "d.e": "c"}\n{"text": "b", "d": {"e": "c"}}\n', PLANS[9])
def test_parse_in_bulk_equals_one_by_one(data: bytes, plan: RowPlan) -> None:
    assert same(RowParser(plan).parse(lines_of(data)), slowly(plan, data))


def test_parse_takes_the_fast_path_where_it_can() -> None:
    data = b'{"text": "a", "n": 1, "f": 0.5, "l": [1], "s": {"a": 1}, "d": "\\u00e9"}\n' * 10
    for plan in (PLANS[0], PLANS[7]):
        bulk = RowParser(plan)._in_bulk(lines_of(data.replace(b'"n"', b'"m"')))
        assert bulk is not None
        assert bulk.num_rows == 10
    known = data.replace(b', "d": "\\u00e9"', b"")
    for plan in (PLANS[6], PLANS[8]):  # also where a field is not there that may be absent
        assert RowParser(plan)._in_bulk(lines_of(known)) is not None
    assert RowParser(PLANS[6])._in_bulk(lines_of(data)) is None


def parse(plan: RowPlan, *lines: bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (
        RowParser(plan).parse(lines_of(b"\n".join(lines) + b"\n")).to_pylist()
    )
    return rows


def test_parse_raw_keeps_the_bytes_of_each_line() -> None:
    lines = [
        b' {"text" : "\\u00e9","x":1.10}  ',
        b'{"text": 5}',
        b"[1]",
        b'{"text": "a", "label": 1}',
    ]
    rows = parse(PLANS[7], *lines[:1], lines[1] + b"\r", *lines[2:])
    assert [row["kept:line"] for row in rows] == [lines[0], lines[1], None, None]
    assert rows[3]["error"] == "the line already has a field 'label'; set output.prefix"
    assert [row["text"] for row in rows] == [None, *(line.decode() for line in lines[1:])]


def test_parse_misfits_go_to_the_extra_column_exactly() -> None:
    line = (
        '{"text": "a", "n": 1.10, "f": 9007199254740993, "s": {"a": 1, "\u00e9": [1e2, 1E400]}, '
        '"x" : {"y":1.10 , "y": NaN}, "l": [1, true], "t": null}'
    )
    (row,) = parse(PLANS[6], line.encode())
    assert row["kept:extra_json"] == (
        '{"n": 1.10, "f": 9007199254740993, "s": {"a": 1, "\u00e9": [1e2, 1E400]}, '
        '"x": {"y":1.10 , "y": NaN}, "l": [1, true]}'
    )
    assert [row[f"kept:{name}"] for name in ("text", "n", "f", "s", "l")] == ["a", *[None] * 4]
    assert row["error"] is None


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ('"n": 3.5', "field 'n': 3.5 does not fit int64, the run's type"),
        ('"n": "5"', "field 'n': a string does not fit int64, the run's type"),
        ('"n": true', "field 'n': a boolean does not fit int64, the run's type"),
        (
            '"n": 9223372036854775808',
            "field 'n': 9223372036854775808 does not fit int64, the run's type",
        ),
        ('"f": 1e999', "field 'f': 1e999 does not fit double, the run's type"),
        ('"f": ' + "9" * 5000, f"field 'f': {'9' * 40} does not fit double, the run's type"),
        ('"z": 1', "field 'z': 1 does not fit null, the run's type"),
        ('"l": [1.0]', "field 'l': a list does not fit list<item: int64>, the run's type"),
        ('"d.e": "\\ud800"', "field 'd.e': lone surrogate"),
    ],
)
def test_parse_misfit_without_extra_column_is_bad(members: str, reason: str) -> None:
    for plan in (PLANS[3], PLANS[5]):
        (row,) = parse(plan, f'{{"text": "a", {members}}}'.encode())
        assert row["error"] == reason
        assert {value for name, value in row.items() if name.startswith(("kept", "field"))} == {
            None
        }


OTHER_TYPES = [
    (pa.int8(), "127", 127, "128"),
    (pa.uint64(), "18446744073709551615", 2**64 - 1, "-1"),
    (pa.float32(), "0.5", 0.5, "0.1"),
    (pa.float16(), "3", 3.0, "1e9"),
    (pa.large_string(), '"a"', "a", "1"),
    (pa.string_view(), '"a"', "a", "[]"),
    (pa.large_list(pa.int32()), "[1, null]", [1, None], "[1.5]"),
    (pa.list_(pa.int64(), 2), "[1, 2]", [1, 2], "[1]"),
    (pa.struct([("a", pa.int16())]), '{"a": 1}', {"a": 1}, '{"a": 40000}'),
    (pa.timestamp("us"), "null", None, '"2026-01-31"'),
    (pa.date32(), "null", None, '"2026-01-31"'),
    (pa.decimal128(9, 2), "null", None, "1.5"),
    (pa.binary(), "null", None, '"a"'),
    (pa.map_(pa.string(), pa.int64()), "null", None, '{"a": 1}'),
]


@pytest.mark.parametrize(("column", "fits", "cell", "misfit"), OTHER_TYPES)
def test_parse_columns_of_types_that_parquet_gave_them(column, fits, cell, misfit) -> None:
    """Whether it is one line or many: Arrow's own parser would read a text as a timestamp."""
    plan = RowPlan(fields={"text": "text"}, kept=pa.schema([("x", column), ("n", pa.int64())]))
    lines = [f'{{"text": "a", "x": {fits}, "n": 1}}', '{"text": "b", "n": 2}']
    rows = parse(plan, *(line.encode() for line in lines * 40))
    assert [row["kept:x"] for row in rows] == [cell, None] * 40
    assert not any(row["error"] for row in rows)
    found = parse(plan, f'{{"text": "a", "x": {misfit}}}'.encode(), *map(str.encode, lines))
    assert "the run's type" in found[0]["error"]
    assert [row["error"] for row in found[1:]] == [None, None]


def test_parse_row_without_its_field_keeps_its_columns() -> None:
    plan = RowPlan(fields={"text": "text"}, kept=pa.schema([("n", pa.int64())]))
    lines = [
        b'{"text": null, "n": 1}',
        b'{"n": 2}',
        b'{"text": 5, "n": 3}',
        b'{"text": 5, "n": ""}',
    ]
    rows = parse(plan, *lines, b"[1]")
    assert [row["kept:n"] for row in rows] == [1, 2, 3, None, None]
    assert all(row["error"] for row in rows)


def test_parse_unknown_field_is_dropped_or_bad_as_the_schema_says() -> None:
    line = b'{"text": "a", "unknown \xc3\xa9": 1}'
    assert parse(PLANS[3], line)[0]["error"] is None
    assert (
        parse(PLANS[5], line)[0]["error"] == "field 'unknown \\xe9': the run has no column for it"
    )


def test_parse_field_whose_name_is_not_utf8_is_dropped_or_bad_as_the_schema_says() -> None:
    line = b'{"text": "a", "n\\ud800": 1}'
    assert parse(PLANS[3], line)[0]["error"] is None
    for plan in (PLANS[5], PLANS[6]):
        (row,) = parse(plan, line)
        assert row["error"] == "lone surrogate in a field that the run has no column for"


def test_parse_numbers_at_the_edges_are_kept_exactly() -> None:
    kept = pa.schema([("n", pa.int64()), ("f", pa.float64())])
    texts = [
        ("9223372036854775807", "1.7976931348623157e308"),
        ("-9223372036854775808", "1152921504606846976"),
    ]
    texts += [("1", "0.1"), ("0", "-Infinity"), ("2", "5e-324")]
    lines = [f'{{"text": "a", "n": {n}, "f": {f}}}'.encode() for n, f in texts]
    rows = parse(RowPlan(fields={"text": "text"}, kept=kept), *lines)
    assert [(row["kept:n"], row["kept:f"]) for row in rows] == [
        (int(n), float(f) if "I" not in f else -math.inf) for n, f in texts
    ]


def test_parse_json_text_keeps_the_source_of_any_value() -> None:
    inner = pa.struct([json_types.json_text("j"), pa.field("n", pa.int64())])
    kept = pa.schema([json_types.json_text("x"), ("s", inner), ("l", pa.list_(inner))])
    rows = parse(
        RowPlan(fields={"text": "text"}, kept=kept),
        b'{"text": "a", "x": {"k" : [1.10, 1e400, "\\u00e9"]}, "s": {"j": 1.0, "n": 2},'
        b' "l": [{"j": "q"}, null, {"n": 1, "j": [ ]}]}',
        b'{"text": "a", "x": null}',
        b'{"text": "a", "x": "\\ud800"}',
    )
    assert rows[0]["kept:x"] == '{"k" : [1.10, 1e400, "\\u00e9"]}'
    assert rows[0]["kept:s"] == {"j": "1.0", "n": 2}
    assert rows[0]["kept:l"] == [{"j": '"q"', "n": None}, None, {"j": "[ ]", "n": 1}]
    assert (rows[1]["kept:x"], rows[1]["error"]) == (None, None)
    assert rows[2]["error"] == "field 'x': lone surrogate"


def test_mentions_finds_every_spelling_of_a_key() -> None:
    for key in (
        b'"la/bel"',
        b'"la\\/bel"',
        b'"l\\u0061/bel"',
        b'"la/be\\u006c"',
        b'"la\\u002fbel" ',
    ):
        assert json_bulk.mentions(lines_of(b'{"a": "b", ' + key + b": 1}"), ("la/bel",))
    assert not json_bulk.mentions(
        lines_of(b'{"a": "\\u00e9 \\"x\\": y", "b": "label"}'), ("la/bel",)
    )


@pytest.mark.slow
@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_parse_nesting_of_millions_does_not_crash_the_process(opening: str) -> None:
    script = f"""
        import io
        from labelmill.ops.json_rows import RowParser, RowPlan
        from labelmill.ops.decompression import Stream
        from labelmill.ops.json_lines import LineReader
        import pyarrow as pa
        bad = '{{"text": "a", "x": ' + {opening!r} * 5_000_000
        good = '{{"text": "good"}}\\n'
        data = (good + bad + "\\n" + good).encode()
        for kept in (pa.schema([]), pa.schema([("x", pa.list_(pa.int64()))])):
            parser = RowParser(RowPlan(fields={{"text": "text"}}, kept=kept))
            lines = LineReader(Stream(io.BytesIO(data), "a.jsonl", 1 << 30)).peek()
            print(parser.parse(lines)["error"].to_pylist())
    """
    code = textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[None, 'nested deeper than 200 levels', None]\n" * 2
