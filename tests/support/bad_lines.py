"""Lines that are no rows, each between good ones."""

import json

from tests.support.bad_shards import BadShard, lines, row, rows

_DEEP = b"[" * 50_000 + b"]" * 50_000
_MARK = b"\xef\xbb\xbf"
_WRONG = (
    (b"5", "a number"), (b"true", "a boolean"), (b"NaN", "a number"), (b'["a"]', "a list"),
    (b'{"a": 1}', "an object"), (b"9" * 5000, "a number"),
)  # fmt: skip
_CUT = row(0) + b"\n" + row(1) + b"\n"


def bad_lines() -> list[BadShard]:
    """Every shard of them."""
    return [*_syntax(), *_values(), *_bytes(), *_ends()]


def _bad(value: bytes) -> bytes:
    return b'{"id": 99, "text": ' + value + b"}"


def _syntax() -> list[BadShard]:
    return [
        lines(
            "malformed.jsonl",
            0,
            (b'{"id": 1, "text": "a"', "not JSON: expecting ',' delimiter"),
            (b"{'id': 1}", "not JSON: expecting property name"),
            1,
            (b'{"text": }', "not JSON: expecting value"),
            (b'{"text": "a",}', "not JSON"),
            (b"hello, world", "not JSON: expecting value"),
            (b'"', "not JSON: unterminated string"),
            2,
            (b'{"text": "a\tb"}', "not JSON: invalid control character"),
            (b'{"text": "\\x"}', r"not JSON: invalid \\escape"),
            (b'{"text": "a"}\0', "not JSON: more text"),
            (b"\0\0\0\0", "not JSON"),
            (b"\x1a", "not JSON"),
            3,
        ),
        lines(
            "two-objects.jsonl",
            0,
            (row(1) + row(2), "not one JSON value"),
            (row(3) + b" x", "more text after the value"),
            4,
        ),
        lines(
            "no-objects.ndjson",
            *(
                (text, "not an object")
                for text in (b"[]", b'["a"]', b"5", b"true", b"null", b'"a"')
            ),
            7,
        ),
        lines(
            "nesting.jsonl",
            0,
            (b'{"id": 1, "text": "a", "deep": ' + _DEEP + b"}", "nested deeper than 200"),
            (b'{"id": 2, "text": "a", "deep": ' + b'{"a":' * 50_000, "nested deeper than 200"),
            (b"[" * 50_000, "nested deeper than 200"),
            (_DEEP, "nested deeper than 200"),
            (b'{"id": 5, "text": ' + _DEEP + b"}", "nested deeper than 200"),
            row(6, deep=json.loads("[" * 199 + "]" * 199)),
            row(7, deep=[[], {}] * 500),
        ),
    ]


def _values() -> list[BadShard]:
    wrong = ((_bad(v), f"field 'text': found {kind}, expected a string") for v, kind in _WRONG)
    return [
        lines("wrong-types.jsonl", 0, *wrong, 1),
        lines(
            "missing.jsonl",
            (b"{}", "field 'text': missing"),
            1,
            (b'{"id": 2}', "field 'text': missing"),
            (b'{"id": 3, "Text": "a"}', "field 'text': missing"),
        ),
        lines(
            "nulls.jsonl",
            0,
            (_bad(b"null"), "field 'text': found null"),
            row(1, x=None),
        ),
        lines(
            "numbers.jsonl",
            b'{"id": 0, "text": "a", "n": NaN}',
            b'{"id": 1, "text": "a", "n": [Infinity, -Infinity]}',
            b'{"id": 2, "text": "a", "n": 1e999}',
            b'{"id": 3, "text": "a", "n": -0}',
            b'{"id": 4, "text": "a", "n": 123456789012345678901234567890.5}',
            *(
                (_bad(b'"a", "n": ' + n), "not JSON")
                for n in (b"Inf", b"-NaN", b"01", b".5", b"0x1")
            ),
        ),
        BadShard(
            name="huge-number.jsonl",
            data=b'{"id": 0, "text": "a", "n": ' + b"9" * 5000 + b"}\n",
            good=(0,),
        ),
        lines(
            "twice.jsonl",
            b'{"id": 0, "text": 5, "text": "a"}',
            (b'{"id": 1, "text": "a", "text": 5}', "found a number"),
            b'{"id": 9, "id": 2, "text": "a"}',
        ),
        lines(
            "strange-keys.jsonl",
            b'{"id": 0, "text": "a", "": 1, " ": 2, "a.b": 3, "\\u0000": 4, "_labelmill": 5}',
            b'{"id": 1, "text": "", "\\n": {"": {"": []}}}',
        ),
        lines("null-texts.jsonl", *((_bad(b"null"), "found null") for _ in range(5))),
        lines("no-texts.jsonl", *((b'{"id": 1}', "missing") for _ in range(5))),
    ]


def _bytes() -> list[BadShard]:
    return [
        lines(
            "encodings.jsonl",
            0,
            (_bad(b'"caf\xe9"'), "invalid UTF-8 at byte 24"),
            (_bad(b'"\xed\xa0\x80"'), "invalid UTF-8"),
            (_bad(b'"\xf8\x88\x80\x80\x80"'), "invalid UTF-8"),
            (_bad(b'"\\ud83d"'), "field 'text': lone surrogate"),
            (_bad(b'"\\udc00 a"'), "field 'text': lone surrogate"),
            (b"\xff\xfe\xfa", "invalid UTF-8"),
            (b'{"id": 7, "text": "a", "\xe9": 1}', "invalid UTF-8"),
            b'{"id": 8, "text": "\\ud83d\\ude00 \\u0000 \xe4\xbd\xa0"}',
        ),
        BadShard(
            name="lone-elsewhere.jsonl",
            data=rows(1) + b'{"id": 1, "text": "a", "lone": "\\ud800"}\n' + rows(1, 2, lone="b"),
            good=(0, 2),
            rejects=((len(rows(1)), "lone surrogate"),),
            kept_only=True,
        ),
        BadShard(
            name="surrogate-name.jsonl",
            data=rows(1) + b'{"id": 1, "text": "a", "lone\\ud800": 5}\n' + rows(1, 2),
            good=(0, 2),
            rejects=((len(rows(1)), "lone surrogate in a field that the run has no column for"),),
            kept_only=True,
        ),
        BadShard(
            name="surrogate-name-inside.jsonl",
            data=rows(1) + b'{"id": 1, "text": "a", "bag": {"\\ud800": 5}}\n' + rows(1, 2, bag={}),
            good=(0, 2),
            rejects=((len(rows(1)), "field 'bag': lone surrogate"),),
            kept_only=True,
        ),
        BadShard(name="mark.jsonl", data=_MARK + rows(2), good=(0, 1)),
        BadShard(name="only-mark.jsonl", data=_MARK),
        BadShard(
            name="mark-inside.jsonl",
            data=rows(1) + _MARK + rows(1, 1),
            good=(0,),
            rejects=((len(rows(1)), "not JSON"),),
        ),
        *(
            BadShard(
                name=f"{name}.jsonl",
                data=rows(3).decode().encode(name),
                breaks=((0, f"the text is {name.upper()}, expected UTF-8"),),
            )
            for name in ("utf-16", "utf-32")
        ),
        lines("utf-16-unmarked.jsonl", *_wide(rows(3).decode().encode("utf-16-le"))),
    ]


def _wide(data: bytes) -> list[tuple[bytes, str]]:
    """Without a mark nobody can know: every line is bad."""
    return [(line, "not JSON") for line in data.split(b"\n")]


def _ends() -> list[BadShard]:
    return [
        lines("windows.jsonl", 0, (b"{", "not JSON"), 2, end=b"\r\n"),
        lines(
            "blanks.jsonl",
            b"",
            b"  \t",
            0,
            b"\r",
            1,
            (b"\x0b", "not JSON"),
            ("\u00a0".encode(), "not JSON"),
            b"",
        ),
        BadShard(name="only-blanks.jsonl", data=b"\n \n\t\r\n  "),
        BadShard(
            name="old-macintosh.jsonl",
            data=row(0) + b"\r" + row(1) + b"\r",
            rejects=((0, "not one JSON value"),),
        ),
        BadShard(name="no-newline.jsonl", data=row(0) + b"\n" + row(1), good=(0, 1)),
        BadShard(
            name="half-a-line.jsonl",
            data=_CUT + row(2)[:-4],
            good=(0, 1),
            rejects=((len(_CUT), "not JSON"),),
        ),
        lines(
            "an-array.json",
            (b"[", "not JSON"),
            (row(0) + b",", "more text after the value"),
            1,
            (b"]", "not JSON"),
        ),
        lines(
            "a-document.json",
            *((text, "not JSON") for text in (b"{", b'"id": 1,', b'"text": 1', b"}")),
        ),
    ]
