"""Reading CSV and TSV shards: exact text, quoting, bad records, damage, cuts."""

import csv
import io
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelmill.errors import InputError
from labelmill.ops import csv_records
from labelmill.ops.csv_records import BadRecord, RecordReader
from labelmill.ops.decompression import Stream
from labelmill.splits import Split
from tests.support.jsonl import COMPRESS
from tests.support.sources import (
    counted,
    module,
    read,
    request,
    require_resumable,
    rows_of,
    shard_of,
    texts_and_errors,
)

HEAD = b"id,text\n"
SLOWLY = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
CELLS = st.text(st.sampled_from(list("ab ,\t\"'\n\r0\u00e9\U0001f600")), max_size=6)

GOOD = {
    "digits stay text": (b"1,00123\n", "00123"),
    "empty cell": (b"1,\n", ""),
    "quoted empty cell": (b'1,""\n', ""),
    "null words": (b"1,NA\n", "NA"),
    "dates": (b"1,2024-01-01\n", "2024-01-01"),
    "spaces stay": (b"1,  a \n", "  a "),
    "quoted delimiter": (b'1,"a,b"\n', "a,b"),
    "doubled quote": (b'1,"say ""hi"""\n', 'say "hi"'),
    "newline inside": (b'1,"a\nb"\n', "a\nb"),
    "carriage return and newline inside": (b'1,"a\r\nb"\r\n', "a\r\nb"),
    "quote inside a plain cell": (b'1,5" disk\n', '5" disk'),
    "carriage return at the end": (b"1,a\r\n", "a"),
    "no newline at the end": (b"1,a", "a"),
    "nul": (b"1,a\0b\n", "a\0b"),
    "line separator": ("1,a\u2028b\u0085c\n".encode(), "a\u2028b\u0085c"),
    "form feed": (b"1,a\x0cb\x1cc\n", "a\x0cb\x1cc"),
}
BAD = {
    "too few cells": (b"1\n", "1 cells, expected 2 as in the header"),
    "too many cells": (b"1,a,b\n", "3 cells, expected 2 as in the header"),
    "space alone": (b" \n", "1 cells, expected 2 as in the header"),
    "text after a quote": (b'1,"a"b\n', "text after the closing quote of a cell"),
    "text after a quote of lines": (
        b'1,"one\ntwo "x" y\nthree"\n',
        "text after the closing quote of a cell",
    ),
    "latin-1": (b"1,caf\xe9\n", "invalid UTF-8 at byte 6"),
    "encoded surrogate": (b"1,\xed\xa0\x80\n", "invalid UTF-8 at byte 3"),
    "lone carriage return": (
        b"1,a\rb\n",
        "a carriage return outside quotes, without a newline",
    ),
    "unclosed quote": (b'1,"a\n', "a quote that is opened is never closed"),
    "too many cells over lines": (b'1,"a\nb",c\n', "3 cells, expected 2 as in the header"),
}


@pytest.mark.parametrize("kind", GOOD)
def test_read_odd_but_good_record_is_a_row(tmp_path: Path, kind: str) -> None:
    record, text = GOOD[kind]
    shard = shard_of(tmp_path, HEAD + b"0,x\n" + record, "a.csv", "csv")
    assert texts_and_errors(shard) == [("x", None), (text, None)]


@pytest.mark.parametrize("kind", BAD)
def test_read_bad_record_costs_no_other_row(tmp_path: Path, kind: str) -> None:
    record, reason = BAD[kind]
    good = b"0,good\n"
    data = HEAD + good * 3 + record + good * 200
    found = texts_and_errors(shard_of(tmp_path, data, "a.csv", "csv"))
    assert found[3] == (None, reason)
    assert [each for each in found if each[1] is None] == [("good", None)] * 203


def test_read_stray_quote_before_quoted_cells_costs_its_line_alone(tmp_path: Path) -> None:
    data = HEAD + b'1,"stray\n2,b\n3,"quoted, well"\n4,d\n'
    found = texts_and_errors(shard_of(tmp_path, data, "a.csv", "csv"))
    assert found == [
        (None, "a quote that is opened is never closed"),
        ("b", None), ("quoted, well", None), ("d", None),
    ]  # fmt: skip


def test_read_record_of_lines_that_ends_unclosed_is_one_bad_row(tmp_path: Path) -> None:
    data = HEAD + b'1,a\n2,"some prose\nwithout an end\nand more'
    found = texts_and_errors(shard_of(tmp_path, data, "a.csv", "csv"))
    assert found == [("a", None), (None, "a quote that is opened is never closed")]


def test_read_positions_are_offsets_and_bad_rows_show_their_text(tmp_path: Path) -> None:
    data = b'\xef\xbb\xbfid,text\r\n\r\n1,"a\nb"\r\n\r\nbad\xff\n\n2,c'
    rows = rows_of(read(shard_of(tmp_path, data, "a.csv", "csv")))
    assert rows.position.to_pylist() == [data.index(mark) for mark in (b"1,", b"bad", b"2,")]
    assert rows.fields["text"].to_pylist() == ["a\nb", None, "c"]
    assert rows.text is not None
    assert rows.text.to_pylist() == [None, "bad\ufffd\n", None]


def test_read_tabs_are_the_delimiter_of_tsv_by_name_or_by_suffix(tmp_path: Path) -> None:
    data = b'text\tn\na,b\t1\n"c\td"\t2\n'
    for name in ("a.tsv", "A.TAB", "plain.txt"):
        rows = texts_and_errors(shard_of(tmp_path, data, name, "tsv"))
        assert rows == [("a,b", None), ("c\td", None)]


def test_read_keeps_columns_as_strings_and_misses_none(tmp_path: Path) -> None:
    kept = pa.schema([("n", pa.string()), ("absent", pa.int64())])
    shard = shard_of(tmp_path, b"n,text\n007,a\n,b\nx\n", "a.csv", "csv")
    rows = rows_of(read(shard, request(kept=kept)))
    assert rows.kept["n"].to_pylist() == ["007", "", None]
    assert rows.kept["absent"].to_pylist() == [None] * 3
    assert rows.error.to_pylist() == [None, None, "1 cells, expected 2 as in the header"]


def test_read_kept_column_of_another_type_is_refused(tmp_path: Path) -> None:
    shard = shard_of(tmp_path, b"n,text\n007,a\n", "a.csv", "csv")
    with pytest.raises(InputError, match=r"shard 'a.csv': column 'n' is string, expected int64"):
        read(shard, request(kept=pa.schema([("n", pa.int64())])))


def test_read_column_names_may_be_quoted_dotted_or_like_ours(tmp_path: Path) -> None:
    data = b'"a.b","say ""x""\ny",position,error\n1,2,3,4\n'
    shard = shard_of(tmp_path, data, "a.csv", "csv")
    names = ["a.b", 'say "x"\ny', "position", "error"]
    assert module("csv").inspect(shard).schema == pa.schema([(n, pa.string()) for n in names])
    rows = rows_of(read(shard, request(fields={str(i): n for i, n in enumerate(names)})))
    assert [rows.fields[str(i)].to_pylist() for i in range(4)] == [["1"], ["2"], ["3"], ["4"]]
    assert rows.position.to_pylist() == [data.index(b"1,2")]


def test_read_twin_columns_are_refused_only_where_needed(tmp_path: Path) -> None:
    shard = shard_of(tmp_path, b"n,text,n\n1,a,2\n", "a.csv", "csv")
    assert texts_and_errors(shard) == [("a", None)]
    with pytest.raises(InputError, match="more than one column is called 'n'"):
        read(shard, request(fields={"text": "n"}))


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\n\r\n", HEAD, b"id,text"])
def test_read_without_records_is_one_empty_split(tmp_path: Path, data: bytes) -> None:
    for suffix, compress in COMPRESS.items():
        (piece,) = read(shard_of(tmp_path, compress(data), f"a.csv{suffix}", "csv"))
        assert (piece.split.index, piece.split.start, piece.split.last) == (0, 0, True)
        assert (len(piece.rows), piece.breaks) == (0, ())


@pytest.mark.parametrize(
    ("name", "stored", "reason"),
    [
        ("a.csv", "id,text\n1,a\n".encode("utf-16"), "the text is UTF-16, expected UTF-8"),
        ("a.csv", "id,text\n1,a\n".encode("utf-32"), "the text is UTF-32, expected UTF-8"),
        ("a.csv", b"PK\x03\x04zip", "spreadsheet"),
        ("a.csv", b"id,caf\xe9\n1,a\n", "the header: invalid UTF-8 at byte 7"),
        ("a.csv", b"id,text\r1,a\r2,b", "the header: a carriage return outside quotes"),
        ("a.csv", b'id,"text\n1,a\n', "the header: a quote that is opened is never closed"),
        ("a.csv.gz", HEAD, "named .gz but is not gzip"),
        ("a.csv", COMPRESS[".zst"](HEAD), "named .csv but is zstd"),
    ],
)
def test_read_of_what_cannot_be_named_is_one_break(
    tmp_path: Path, name: str, stored: bytes, reason: str
) -> None:
    shard = shard_of(tmp_path, stored, name, "csv")
    (piece,) = read(shard)
    assert [(gap.start, gap.stop, reason in gap.reason) for gap in piece.breaks] == [
        (0, None, True)
    ]
    assert (piece.split.stop, piece.split.last, len(piece.rows)) == (0, True, 0)
    for verb in (module("csv").inspect, module("csv").count):
        with pytest.raises(InputError, match=r"a\.csv"):
            verb(shard)


def test_read_stream_that_breaks_off_keeps_whole_records_and_tells_where(tmp_path: Path) -> None:
    data = HEAD + b"".join(b'%d,"row\n%d"\n' % (n, n) for n in range(2000))
    for suffix in (".gz", ".xz", ".bz2", ".zst"):
        stored = COMPRESS[suffix](data)
        shard = shard_of(tmp_path, stored[: len(stored) * 2 // 3], f"a.csv{suffix}", "csv")
        pieces = read(shard, request(rows=100))
        rows = rows_of(pieces)
        assert rows.error.null_count == len(rows)
        assert rows.fields["text"].to_pylist() == [f"row\n{n}" for n in range(len(rows))]
        last = pieces[-1]
        assert [(gap.start, gap.stop) for gap in last.breaks] == [(last.split.stop, None)]
        assert all(piece.breaks == () for piece in pieces[:-1])
        with pytest.raises(InputError, match="is damaged"):
            module("csv").count(shard)


@SLOWLY
@given(data=st.data())
def test_read_is_what_was_written_however_it_is_cut_and_stored(
    data: st.DataObject, tmp_path: Path
) -> None:
    name = data.draw(st.sampled_from(["csv", "tsv"]))
    table = data.draw(st.lists(st.tuples(CELLS, CELLS), max_size=20))
    sink = io.StringIO()
    # A lone carriage return is quoted only where it is part of the line's end.
    end, quoting = data.draw(
        st.sampled_from(
            [("\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_MINIMAL)]
        )
    )
    delimiter = "\t" if name == "tsv" else ","
    writer = csv.writer(sink, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([("id", "text"), *table])
    suffix = data.draw(st.sampled_from(["", ".gz", ".zst"]))
    stored = COMPRESS[suffix](sink.getvalue().encode())
    shard = shard_of(tmp_path, stored, f"a.{name}{suffix}", name)
    wanted = request(
        rows=data.draw(st.integers(1, 9)),
        size=data.draw(st.integers(1, 60)),
        kept=pa.schema([("id", pa.string())]),
    )
    pieces = read(shard, wanted)
    rows = rows_of(pieces)
    found = zip(rows.kept["id"].to_pylist(), rows.fields["text"].to_pylist(), strict=True)
    assert list(found) == table
    ends = [(piece.split.start, piece.split.stop) for piece in pieces]
    assert [start for start, _ in ends] == [0, *(stop for _, stop in ends[:-1])]
    assert ends[-1][1] == len(sink.getvalue().encode())
    assert [len(piece.rows) <= wanted.rule.split_rows for piece in pieces] == [True] * len(pieces)
    require_resumable(shard, wanted, data.draw(st.sets(st.sampled_from(range(len(pieces))))))
    assert module(name).count(shard) == len(table)


@SLOWLY
@given(
    st.lists(st.sampled_from([b"1,a", b'1,"b', b'2,c"d"', b'"', b",", b"\xff", b'1,"x"', b""])),
    st.integers(1, 40),
    st.integers(10, 60),
)
def test_records_do_not_depend_on_pieces_and_none_is_larger_than_allowed(
    lines: list[bytes], piece: int, largest: int
) -> None:
    data = b"h,text\n" + b"\n".join(lines)

    def found(step: int, start: int = 0) -> list[tuple[int, int, object]]:
        reader = RecordReader(Stream(io.BytesIO(data), "a.csv", step), ",", largest)
        reader.header()
        if start:
            reader.skip_to(start)
        units = []
        while (some := reader.peek()) is not None:
            taken = reader.take(1 + len(some) // 2)
            units += zip(taken.begins.tolist(), taken.stops.tolist(), taken.cells, strict=True)
        return units

    whole = found(1 << 20)
    assert found(piece) == whole
    begins = [7, *(stop for _, stop, _ in whole)]
    assert begins[-1] == len(data)
    for at, start in enumerate(begins[:-1]):
        assert found(piece, start) == whole[at:]
    for begin, stop, cells in whole:
        assert stop - begin <= largest or isinstance(cells, BadRecord)


def test_record_that_is_too_long_is_streamed_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_records.RecordReader.__init__, "__defaults__", (1 << 20,))
    long = b"1," + b"x" * (3 << 20) + b"\n"
    shard = shard_of(tmp_path, HEAD + b"0,a\n" + long + b"2,b\n", "a.csv", "csv")
    found = texts_and_errors(shard)
    assert found == [
        ("a", None), (None, f"a line of {len(long)} bytes, more than {1 << 20}"), ("b", None),
    ]  # fmt: skip


def test_read_reads_each_stored_byte_once_and_seeks_over_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = HEAD + b"".join(b'%d,"%s"\n' % (n, b"word " * 40) for n in range(40_000))
    for suffix in ("", ".gz"):
        shard = shard_of(tmp_path, COMPRESS[suffix](data), f"a.csv{suffix}", "csv")
        files = counted(monkeypatch, "csv")
        whole = read(shard, request(rows=1000))
        assert files[0].given == shard.size
        assert sum(len(piece.rows) for piece in whole) == 40_000
    shard = shard_of(tmp_path, data, "a.csv", "csv")
    files = counted(monkeypatch, "csv")
    done: list[Split] = [piece.split for piece in whole if piece.split.index != 30]
    (only,) = read(shard, request(rows=1000, done=done))
    assert only.rows.to_table() == whole[30].rows.to_table()
    assert files[0].given < 4 << 20


_READ = """
    import sys
    from labelmill.formats import ReadRequest, csv
    from labelmill.splits import CutRule, Shard
    path = sys.argv[1]
    shard = Shard(path="a.csv", url=path, format="csv", size=0, version="")
    rule = CutRule(split_rows=10_000, split_bytes=8 << 20)
    rows = bad = 0
    for split in csv.read(shard, ReadRequest(rule=rule, fields={"text": "text"})):
        rows += len(split.rows)
        bad += len(split.rows) - split.rows.error.null_count
    status = dict(line.split(":") for line in open("/proc/self/status") if ":" in line[:20])
    print(rows, bad, int(status["VmHWM"].split()[0]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_read_200_mb_takes_little_memory(tmp_path: Path) -> None:
    block = b"".join(b'%d,"row %d\n%s"\n' % (n, n, b"some words " * 15) for n in range(5000))
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.write(HEAD)
        for _ in range(200):
            file.write(block)
    assert path.stat().st_size > 180_000_000
    command = [sys.executable, "-c", textwrap.dedent(_READ), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows, bad, peak = (int(word) for word in done.stdout.split())
    assert (rows, bad) == (1_000_000, 0)
    assert peak < 300
