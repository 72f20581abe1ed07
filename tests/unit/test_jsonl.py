"""Reading shards of JSON Lines: every kind of input, good and bad."""

from pathlib import Path

import pytest

from labelmill.errors import InputError
from labelmill.formats import jsonl
from labelmill.splits import CutRule, Split
from tests.support.jsonl import COMPRESS, read, request, rows_of, shard_of, texts_and_errors

GOOD = b'{"text": "good"}\n'
DEEP = b"[" * 50_000 + b"]" * 50_000

BAD_LINES = {
    "cut off": (b'{"text": "a"', "not JSON: expecting ',' delimiter at column 13"),
    "no value": (b'{"text": }', "not JSON: expecting value at column 10"),
    "raw control": (b'{"text": "a\tb"}', "not JSON: invalid control character at column 12"),
    "bad escape": (b'{"text": "\\x"}', "not JSON: invalid \\escape at column 11"),
    "vertical tab": (b"\x0b", "not JSON: expecting value at column 1"),
    "inner mark": (b'\xef\xbb\xbf{"text": "a"}', "not JSON: expecting value at column 1"),
    "trailing text": (b'{"text": "a"} x', "not JSON: more text after the value at column 15"),
    "two objects": (b'{"text": "a"}{"text": "b"}', "not one JSON value: another one at column 14"),
    "nul": (b'{"text": "a"}\0', "not JSON: more text after the value at column 14"),
    "list": (b'["a"]', "a list, not an object"),
    "string": (b'"a"', "a string, not an object"),
    "number": (b"5", "a number, not an object"),
    "boolean": (b"true", "a boolean, not an object"),
    "null": (b"null", "null, not an object"),
    "latin-1": (b'{"text": "caf\xe9"}', "invalid UTF-8 at byte 14"),
    "encoded surrogate": (b'{"text": "\xed\xa0\x80"}', "invalid UTF-8 at byte 11"),
    "lone high": (b'{"text": "\\ud83d"}', "field 'text': lone surrogate"),
    "lone low": (b'{"text": "\\udc00"}', "field 'text': lone surrogate"),
    "deep list": (b'{"text": "a", "x": ' + DEEP + b"}", "nested deeper than 200 levels"),
    "deep open": (b'{"text": "a", "x": ' + b'{"a":' * 50_000, "nested deeper than 200 levels"),
    "missing": (b'{"x": "a"}', "field 'text': missing, expected a string"),
    "empty object": (b"{}", "field 'text': missing, expected a string"),
    "null field": (b'{"text": null}', "field 'text': found null, expected a string"),
    "number field": (b'{"text": 5}', "field 'text': found a number, expected a string"),
    "nan field": (b'{"text": NaN}', "field 'text': found a number, expected a string"),
    "list field": (b'{"text": ["a"]}', "field 'text': found a list, expected a string"),
    "object field": (b'{"text": {"a": 1}}', "field 'text': found an object, expected a string"),
    "bare infinity": (b'{"text": "a", "x": Inf}', "not JSON: expecting value at column 20"),
    "minus nan": (b'{"text": "a", "x": -NaN}', "not JSON: expecting value at column 20"),
}

GOOD_LINES = {
    "plain": (b'{"text": "a"}', "a"),
    "digits stay text": (b'{"text": "00123"}', "00123"),
    "dates stay text": (b'{"text": "2024-01-01T00:00:00"}', "2024-01-01T00:00:00"),
    "escaped key": (b'{"te\\u0078t": "a"}', "a"),
    "spaces around": (b'  {"text": "a"} \t', "a"),
    "carriage return": (b'{"text": "a"}\r', "a"),
    "last of two keys": (b'{"text": "a", "text": "b"}', "b"),
    "nan elsewhere": (b'{"text": "a", "x": [NaN, Infinity, -Infinity]}', "a"),
    "huge float elsewhere": (b'{"text": "a", "x": 1e999}', "a"),
    "huge integer elsewhere": (b'{"text": "a", "x": ' + b"9" * 5000 + b"}", "a"),
    "lone surrogate elsewhere": (b'{"text": "a", "x": "\\ud800"}', "a"),
    "pair of surrogates": (b'{"text": "\\ud83d\\ude00"}', "\U0001f600"),
    "escaped nul": (b'{"text": "a\\u0000b"}', "a\0b"),
    "empty": (b'{"text": ""}', ""),
    "newline inside": (b'{"text": "a\\nb"}', "a\nb"),
    "200 levels": (b'{"text": "a", "x": ' + b"[" * 199 + b"]" * 199 + b"}", "a"),
    "many brackets": (b'{"text": "a", "x": [' + b"[],{}," * 500 + b'"[[[["]}', "a"),
}


@pytest.mark.parametrize("kind", BAD_LINES)
def test_read_bad_line_costs_no_other_row(tmp_path: Path, kind: str) -> None:
    line, reason = BAD_LINES[kind]
    data = GOOD * 3 + line + b"\n" + GOOD * 200
    found = texts_and_errors(tmp_path, data)
    assert found[3] == (None, reason)
    assert found[:3] + found[4:] == [("good", None)] * 203


@pytest.mark.parametrize("kind", GOOD_LINES)
def test_read_odd_but_good_line_is_a_row(tmp_path: Path, kind: str) -> None:
    line, text = GOOD_LINES[kind]
    found = texts_and_errors(tmp_path, GOOD + line + b"\n" + GOOD)
    assert found == [("good", None), (text, None), ("good", None)]


def test_read_201_levels_is_bad_in_bulk_and_alone(tmp_path: Path) -> None:
    line = b'{"text": "a", "x": ' + b"[" * 200 + b"]" * 200 + b"}"
    found = texts_and_errors(tmp_path, GOOD * 1000 + line)
    assert found[-1] == (None, "nested deeper than 200 levels")


def test_read_positions_are_offsets_of_lines(tmp_path: Path) -> None:
    data = b'\n{"text": "a"}\r\n \t\r\n\r\n{"text": "b"}\nx\n\n{"text": "c"}'
    rows = rows_of(read(shard_of(tmp_path, data)))
    expected = [
        data.index(mark) for mark in (b'{"text": "a', b'{"text": "b', b"x\n", b'{"text": "c')
    ]
    assert rows.position.to_pylist() == expected
    assert rows.fields["text"].to_pylist() == ["a", "b", None, "c"]


def test_read_bad_rows_show_their_text(tmp_path: Path) -> None:
    data = GOOD + b"\xff" + b"x" * 5000 + b"\n"
    rows = rows_of(read(shard_of(tmp_path, data)))
    assert rows.text is not None
    assert rows.text.to_pylist() == [None, "\ufffd" + "x" * 999]


def test_read_byte_order_mark_is_skipped_and_counted(tmp_path: Path) -> None:
    rows = rows_of(read(shard_of(tmp_path, b"\xef\xbb\xbf" + GOOD * 2)))
    assert rows.position.to_pylist() == [3, 3 + len(GOOD)]
    assert rows.error.to_pylist() == [None, None]
    assert len(rows_of(read(shard_of(tmp_path, b"\xef\xbb\xbf\n" + GOOD)))) == 1
    assert len(rows_of(read(shard_of(tmp_path, b"\xef\xbb\xbf")))) == 0


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_read_wide_encoding_is_a_break(tmp_path: Path, encoding: str, suffix: str) -> None:
    data = ("\ufeff" * encoding.endswith("be") + GOOD.decode()).encode(encoding)
    shard = shard_of(tmp_path, COMPRESS[suffix](data), "a.jsonl" + suffix)
    (split,) = read(shard)
    assert split.breaks[0].reason == f"the text is {encoding[:6].upper()}, expected UTF-8"
    assert (split.split.last, len(split.rows), split.breaks[0].stop) == (True, 0, None)
    with pytest.raises(InputError, match="expected UTF-8"):
        jsonl.inspect(shard)


def test_read_empty_file_is_one_empty_split(tmp_path: Path) -> None:
    for suffix, compress in COMPRESS.items():
        (split,) = read(shard_of(tmp_path, compress(b""), f"a.jsonl{suffix}"))
        assert split.split == Split(shard=f"a.jsonl{suffix}", index=0, start=0, stop=0, last=True)
        assert (len(split.rows), split.breaks) == (0, ())
        assert split.rows.position.type == "int64"


def test_read_optional_field_may_be_missing_but_not_mistyped(tmp_path: Path) -> None:
    data = b'{"a": 1}\n{"text": null}\n{"text": "x"}\n{"text": 5}\n'
    found = texts_and_errors(tmp_path, data, optional=frozenset({"text"}))
    assert found[:3] == [(None, None), (None, None), ("x", None)]
    assert found[3][1] == "field 'text': found a number, expected a string"


def test_read_dotted_column_reaches_into_objects(tmp_path: Path) -> None:
    lines = {
        b'{"a": {"b": {"c": "deep"}}}': "deep",
        b'{"a.b.c": "whole", "a": {"b": {"c": "deep"}}}': "whole",
        b'{"a": {"b.c": "half", "b": {"c": "deep"}}}': "half",
        b'{"a\\u002eb.c": "spelled", "a": {"b": {"c": "deep"}}}': "spelled",
        b'{"a": {"b": {"c": "deep", "d": 1}, "d": 2}}': "deep",
    }
    found = texts_and_errors(tmp_path, b"\n".join(lines), column="a.b.c")
    assert found == [(text, None) for text in lines.values()]
    for line, text in lines.items():
        assert texts_and_errors(tmp_path, line * 1, column="a.b.c") == [(text, None)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": "x"}', "field 'a.b': 'a' is a string, expected an object"),
        (b'{"a": null}', "field 'a.b': missing, expected a string"),
        (b'{"a": {}}', "field 'a.b': missing, expected a string"),
        (b'{"a": {"b": null}}', "field 'a.b': found null, expected a string"),
    ],
)
def test_read_dotted_column_says_where_it_ends(tmp_path: Path, line: bytes, reason: str) -> None:
    assert texts_and_errors(tmp_path, line, column="a.b") == [(None, reason)]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_read_suffix_in_any_case_names_the_codec(tmp_path: Path, suffix: str) -> None:
    data = COMPRESS[suffix](GOOD * 5)
    for name in (f"a.ndjson{suffix}", f"A.JSONL{suffix.upper()}"):
        assert len(rows_of(read(shard_of(tmp_path, data, name)))) == 5


@pytest.mark.parametrize(
    ("suffix", "stored", "reason"),
    [
        (".gz", GOOD, "named .gz but is not gzip"),
        (".gz", b"", "named .gz but is empty, which no gzip file is"),
        (".zst", COMPRESS[".gz"](GOOD), "named .zst but is not zstd"),
        (".bz2", GOOD, "named .bz2 but is not bzip2"),
        (".xz", GOOD, "named .xz but is not xz"),
        ("", COMPRESS[".gz"](GOOD), "named .jsonl but is gzip"),
        ("", COMPRESS[".zst"](GOOD), "named .jsonl but is zstd"),
    ],
)
def test_read_content_against_suffix_is_a_break(
    tmp_path: Path, suffix: str, stored: bytes, reason: str
) -> None:
    shard = shard_of(tmp_path, stored, "a.jsonl" + suffix)
    (split,) = read(shard)
    assert [(gap.start, gap.stop, gap.reason) for gap in split.breaks] == [(0, None, reason)]
    assert (split.split.stop, split.split.last, len(split.rows)) == (0, True, 0)
    with pytest.raises(InputError, match="cannot be read"):
        jsonl.inspect(shard)


def test_read_done_splits_are_skipped_to_their_stops(tmp_path: Path) -> None:
    data = b"".join(b'{"text": "%d"}\n' % number for number in range(100))
    rule = CutRule(split_rows=7, split_bytes=1 << 20)
    for suffix, compress in COMPRESS.items():
        shard = shard_of(tmp_path, compress(data), "a.jsonl" + suffix)
        whole = read(shard, request(rule=rule))
        done = {split.split.index: split.split for split in whole[1:3] + whole[5:6]}
        rest = read(shard, request(rule=rule, done=done))
        assert [split.split for split in rest] == [
            split.split for split in whole if split.split.index not in done
        ]
        assert (
            rows_of(rest).fields["text"].to_pylist()
            == rows_of([split for split in whole if split.split.index not in done])
            .fields["text"]
            .to_pylist()
        )
        assert read(shard, request(rule=rule, done={s.split.index: s.split for s in whole})) == []


def test_read_one_line_may_exceed_the_rule(tmp_path: Path) -> None:
    data = GOOD + b'{"text": "' + b"x" * 100 + b'"}\n' + GOOD
    splits = read(shard_of(tmp_path, data), request(rule=CutRule(split_rows=5, split_bytes=40)))
    assert [(split.split.stop - split.split.start, len(split.rows)) for split in splits] == [
        (17, 1), (113, 1), (17, 1),
    ]  # fmt: skip
    assert [split.split.last for split in splits] == [False, False, True]


def test_inspect_small_shard_is_seen_whole(tmp_path: Path) -> None:
    data = b'\n{"b": 1, "a": "00123"}\nnot json\n{"a": null, "b": 2.5, "c": {"d": [1]}}'
    for suffix, compress in COMPRESS.items():
        found = jsonl.inspect(shard_of(tmp_path, compress(data), "a.jsonl" + suffix))
        assert (found.rows, found.whole) == (3, True)
        assert [str(item.type) for item in found.schema] == [
            "double", "string", "struct<d: list<item: int64>>",
        ]  # fmt: skip
        assert found.schema.names == ["b", "a", "c"]


def test_inspect_large_shard_rests_on_its_head(tmp_path: Path) -> None:
    long = b'{"text": "' + b"x" * 3_000_000 + b'"}\n'
    found = jsonl.inspect(shard_of(tmp_path, long + b'{"late": 1}\n' * 300_000))
    assert (found.rows, found.whole, found.schema.names[0]) == (None, False, "text")
    found = jsonl.inspect(shard_of(tmp_path, GOOD * 100_000))
    assert (found.rows, found.whole, found.schema.names) == (None, False, ["text"])


@pytest.mark.parametrize(
    "data",
    [
        b'[{"text": "a"}, {"text": "b"}]',
        b'\n[\n  {"text": "a"},\n  {"text": "b"}\n]\n',
        b'{\n"a": 1\n}',
    ],
)
def test_inspect_tells_a_json_document_from_json_lines(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InputError, match=r"one JSON document, expected an object a line.*jq -c"):
        jsonl.inspect(shard_of(tmp_path, data))
    found = jsonl.inspect(shard_of(tmp_path, b'["a row, and a bad one"]\n' + GOOD))
    assert (found.rows, found.schema.names) == (2, ["text"])


def test_inspect_empty_and_damaged_shards(tmp_path: Path) -> None:
    found = jsonl.inspect(shard_of(tmp_path, b""))
    assert (found.rows, found.whole, found.schema.names) == (0, True, [])
    broken = COMPRESS[".gz"](GOOD * 5 + b'{"late')[:-8]
    found = jsonl.inspect(shard_of(tmp_path, broken, "a.jsonl.gz"))
    assert (found.rows, found.whole, found.schema.names) == (None, False, ["text"])
    with pytest.raises(InputError, match="ends before its end marker"):
        jsonl.inspect(shard_of(tmp_path, broken[:12], "a.jsonl.gz"))
