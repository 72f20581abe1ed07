"""Cutting lines and splits: functions of the content and the rule alone."""

import io

from hypothesis import example, given
from hypothesis import strategies as st
from typing_extensions import override

from labelmill.ops.decompression import Stream
from labelmill.ops.json_lines import LineReader, Lines
from labelmill.ops.line_splits import cut
from labelmill.splits import CutRule, Split
from tests.support.jsonl import COMPRESS

LINES = st.lists(
    st.sampled_from([b"{}", b"", b" \t", b"x" * 9, b"y" * 40, b"  z", b"\r", b" " * 30]),
    max_size=30,
)
CONTENT = st.builds(
    lambda mark, lines, end: mark + b"\n".join(lines) + end,
    st.sampled_from([b"", b"\xef\xbb\xbf"]), LINES, st.sampled_from([b"", b"\n"]),
)  # fmt: skip
RULES = st.builds(
    lambda rows, size: CutRule(split_rows=rows, split_bytes=size),
    st.integers(1, 6), st.integers(1, 60),
)  # fmt: skip
MAX_LINE = 35


def plain_cut(data: bytes, rule: CutRule) -> list[tuple[int, int, int]]:
    """Start, stop and rows of each split, as the rule is written down."""
    splits, start, stop, rows = [], 0, 0, 0
    for line in data.splitlines(keepends=True) if b"\r" not in data else _lines(data):
        filled = bool(line.removeprefix(b"\xef\xbb\xbf" if stop == 0 else b"").strip(b" \t\r\n"))
        over = rows + filled > rule.split_rows or stop + len(line) - start > rule.split_bytes
        if stop > start and over:
            splits.append((start, stop, rows))
            start, rows = stop, 0
        stop, rows = stop + len(line), rows + filled
    return [*splits, (start, stop, rows)]


def _lines(data: bytes) -> list[bytes]:
    *ended, rest = data.split(b"\n")
    return [line + b"\n" for line in ended] + ([rest] if rest else [])


def positions(lines: Lines) -> list[tuple[int, bool, bytes]]:
    """Of each line that is not blank: its offset, whether it is too long, and its text if not."""
    return [
        (int(begin), lines.too_long, b"" if lines.too_long else text)
        for begin, text in zip(lines.begins[lines.filled], lines.texts(), strict=True)
    ]


def cut_all(
    data: bytes, rule: CutRule, piece: int, suffix: str = "", done: dict[int, Split] | None = None
) -> list[tuple[Split, list[tuple[int, bool, bytes]]]]:
    stream = Stream(io.BytesIO(COMPRESS[suffix](data)), "a.jsonl" + suffix, piece)
    splits = cut(LineReader(stream, MAX_LINE), "a", rule, done or {}, positions)
    return [(split, [line for part in parts for line in part]) for split, parts in splits]


@given(CONTENT, RULES, st.integers(1, 50), st.sampled_from(["", ".gz", ".zst"]))
@example(b"x" * 40, CutRule(split_rows=1, split_bytes=1), 7, "")
@example(b"x" * 34 + b"\n" + b"x" * 35 + b"\nx", CutRule(split_rows=9, split_bytes=99), 1, "")
def test_cut_depends_on_content_and_rule_alone(
    data: bytes, rule: CutRule, piece: int, suffix: str
) -> None:
    found = cut_all(data, rule, piece, suffix)
    assert [(one.start, one.stop, len(rows)) for one, rows in found] == plain_cut(data, rule)
    assert found == cut_all(data, rule, 1 << 20)
    assert [one.index for one, _ in found] == list(range(len(found)))
    assert [one.last for one, _ in found] == [False] * (len(found) - 1) + [True]


@given(CONTENT, RULES, st.integers(1, 50), st.sampled_from(["", ".gz"]), st.sets(st.integers(0, 9)))
def test_cut_is_not_moved_by_what_is_done(
    data: bytes, rule: CutRule, piece: int, suffix: str, indices: set[int]
) -> None:
    whole = cut_all(data, rule, piece)
    done = {one.index: one for one, _ in whole if one.index in indices}
    rest = [(one, rows) for one, rows in whole if one.index not in indices]
    assert cut_all(data, rule, piece, suffix, done) == rest


@given(CONTENT, st.integers(1, 50))
def test_lines_are_those_of_the_file_and_long_ones_are_not_held(data: bytes, piece: int) -> None:
    rule = CutRule(split_rows=1000, split_bytes=10_000)
    ((_, found),) = cut_all(data, rule, piece)
    at, expected = 0, []
    for line in _lines(data):
        mark = 3 if at == 0 and line.startswith(b"\xef\xbb\xbf") else 0
        text = line[mark:].removesuffix(b"\n").removesuffix(b"\r")
        if text.strip(b" \t\r\n"):
            long = len(line) > MAX_LINE
            expected.append((at + mark, long, b"" if long else text))
        at += len(line)
    assert found == expected


class _CountingFile(io.BytesIO):
    given = 0

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.given += len(data)
        return data


def test_cut_reads_stored_bytes_once_and_seeks_over_what_is_done() -> None:
    data = b"".join(b"%07d\n" % number for number in range(10_000))
    rule = CutRule(split_rows=1000, split_bytes=1 << 20)
    whole = cut_all(data, rule, 512)
    for suffix, compress in COMPRESS.items():
        file = _CountingFile(compress(data))
        stream = Stream(file, "a.jsonl" + suffix, 512)
        list(cut(LineReader(stream), "a", rule, {}, len))
        assert file.given == len(file.getvalue())
    file = _CountingFile(data)
    done = {one.index: one for one, _ in whole if one.index not in (3, 9)}
    list(cut(LineReader(Stream(file, "a.jsonl", 512)), "a", rule, done, len))
    assert file.given <= 2 * 8000 + 5 * 512
