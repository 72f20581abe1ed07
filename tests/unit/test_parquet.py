"""Reading Parquet shards: splits, columns, bad rows, damage."""

import io
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelmill.errors import InputError, StorageError
from labelmill.formats import SplitRows, parquet
from labelmill.splits import Shard
from tests.support.parquet_damage import flipped, not_utf8, paged, truncated, wiped
from tests.support.parquet_shards import errors, request, shard_of, spans, texts

SLOWLY = settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


def documents(count: int) -> pa.Table:
    texts = [f"<{row}> " + "word " * (row % 9) for row in range(count)]
    return pa.table(
        {"id": pa.array(range(count), pa.int64()), "text": pa.array(texts, pa.string())}
    )


class CountedFile(io.FileIO):
    """A file that knows which bytes were read, and can fail in a range of them."""

    def __init__(self, path: str, broken: range = range(0)) -> None:
        super().__init__(path)
        self.ranges: list[tuple[int, int]] = []
        self.broken = broken

    def read(self, size: int | None = -1, /) -> bytes:
        """As in io, counted."""
        start = self.tell()
        if start < self.broken.stop and self.broken.start < start + (size or 0):
            raise StorageError("the network is gone")
        data = super().read(size)
        self.ranges.append((start, start + len(data)))
        return data


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[CountedFile]:
    """Every file that the format opens from here on."""
    files: list[CountedFile] = []

    def open_file(url: str) -> CountedFile:
        files.append(CountedFile(url))
        return files[-1]

    monkeypatch.setattr(parquet, "open_file", open_file)
    return files


@SLOWLY
@given(data=st.data())
def test_read_cuts_by_content_and_rule_whatever_the_row_groups_and_what_is_done(
    data: st.DataObject, tmp_path: Path
) -> None:
    strings = st.lists(st.none() | st.text("ab\u00e9", max_size=8), max_size=40)
    table = pa.table({"text": pa.array(data.draw(strings), pa.string())})
    rule = {"rows": data.draw(st.integers(1, 12)), "size": data.draw(st.integers(1, 40))}
    layouts = [
        list(parquet.read(shard_of(tmp_path, table, row_group_size=size), request(**rule)))
        for size in data.draw(st.tuples(st.just(1000), st.integers(1, 50)))
    ]
    whole = layouts[0]
    assert [piece.split for piece in layouts[1]] == [piece.split for piece in whole]
    assert texts(layouts[1]) == texts(whole) == table["text"].to_pylist()
    kept = data.draw(st.sets(st.sampled_from(range(len(whole)))))
    done = [piece.split for piece in whole if piece.split.index not in kept]
    again = list(
        parquet.read(shard_of(tmp_path, table, row_group_size=7), request(**rule, done=done))
    )
    expected = [piece for piece in whole if piece.split.index in kept]
    assert [piece.split for piece in again] == [piece.split for piece in expected]
    assert [p.rows.to_table() for p in again] == [p.rows.to_table() for p in expected]


def test_read_gives_positions_fields_and_kept_columns(tmp_path: Path) -> None:
    kept = pa.schema([("new", pa.string()), ("id", pa.int64())])
    shard = shard_of(tmp_path, documents(10), row_group_size=3)
    first, second = parquet.read(shard, request(rows=6, kept=kept))
    assert first.split.id == "in.parquet-00000"
    assert (first.split.last, second.split.last) == (False, True)
    assert second.rows.position.to_pylist() == [6, 7, 8, 9]
    assert second.rows.position.type == pa.int64()
    assert second.rows.fields["text"].type == pa.large_string()
    assert list(second.rows.kept) == ["new", "id"]
    assert second.rows.kept["id"].to_pylist() == [6, 7, 8, 9]
    assert second.rows.kept["new"].to_pylist() == [None] * 4
    table = second.rows.to_table()
    assert type(second.rows).from_table(table).to_table() == table


def test_read_of_no_rows_is_one_empty_last_split(tmp_path: Path) -> None:
    kept = pa.schema([("id", pa.int64())])
    (only,) = parquet.read(shard_of(tmp_path, documents(0)), request(kept=kept))
    assert (only.split.index, only.split.start, only.split.stop, only.split.last) == (0, 0, 0, True)
    assert only.breaks == ()
    assert only.rows.to_table().num_rows == 0
    assert only.rows.kept["id"].type == pa.int64()


def test_read_of_one_row_a_row_group_is_one_split(tmp_path: Path) -> None:
    pieces = list(parquet.read(shard_of(tmp_path, documents(300), row_group_size=1), request()))
    assert spans(pieces) == [(0, 300)]
    assert texts(pieces) == documents(300)["text"].to_pylist()


def test_read_touches_needed_columns_only_and_each_byte_once(
    tmp_path: Path, opened: list[CountedFile]
) -> None:
    table = documents(5000).append_column("bulk", pa.array([f"{row:0100}" for row in range(5000)]))
    shard = shard_of(tmp_path, table, row_group_size=1000, compression="none", use_dictionary=False)
    list(parquet.read(shard, request(rows=700)))
    (file,) = opened
    read = sum(stop - start for start, stop in file.ranges)
    assert shard.size > 500_000
    assert read < 250_000
    footer = 64 * 1024  # where pyarrow looks for it
    body = sorted(place for place in file.ranges if place[0] < shard.size - footer)
    assert all(stop <= start for (_, stop), (start, _) in pairwise(body))


def test_read_row_groups_within_done_splits_are_not_touched(
    tmp_path: Path, opened: list[CountedFile]
) -> None:
    table = documents(40_000)
    shard = shard_of(tmp_path, table, row_group_size=4000, compression="none", use_dictionary=False)
    whole = list(parquet.read(shard, request(rows=4000)))
    done = [piece.split for piece in whole if piece.split.index != 5]
    (again,) = parquet.read(shard, request(rows=4000, done=done))
    assert again.rows.to_table() == whole[5].rows.to_table()
    read = [sum(stop - start for start, stop in file.ranges) for file in opened]
    assert read[1] < read[0] / 3


@pytest.mark.parametrize(
    "text",
    [
        pa.array(["a", "b", None], pa.large_string()),
        pa.array(["a", "b", None], pa.string_view()),
        pa.array(["a", "b", None]).dictionary_encode(),
        pa.array(["a", "b", None], pa.json_()),
    ],
    ids=lambda array: str(array.type),
)
def test_read_strings_of_every_layout(tmp_path: Path, text: pa.Array) -> None:
    kept = pa.schema([("text", pa.large_string())])
    (only,) = parquet.read(shard_of(tmp_path, pa.table({"text": text})), request(kept=kept))
    assert only.rows.fields["text"].to_pylist() == ["a", "b", None]
    assert only.rows.kept["text"].to_pylist() == ["a", "b", None]
    assert only.rows.kept["text"].type == pa.large_string()


def test_read_cut_does_not_depend_on_how_strings_are_laid_out(tmp_path: Path) -> None:
    plain = documents(100)["text"].combine_chunks()
    found = set()
    for text in (plain, plain.dictionary_encode(), plain.cast(pa.string_view())):
        shard = shard_of(tmp_path, pa.table({"text": text}))
        found.add(tuple(spans(parquet.read(shard, request(size=300)))))
    assert len(found) == 1


def test_read_bad_rows_keep_place_reason_and_text(tmp_path: Path) -> None:
    table = pa.table(
        {"text": not_utf8([b"good", None, b"b\xffd"]), "title": not_utf8([b"\xfe", b"x", b"y"])}
    )
    kept = pa.schema([("title", pa.string())])
    (only,) = parquet.read(shard_of(tmp_path, table), request(kept=kept))
    assert errors([only]) == [
        "column 'title': invalid UTF-8",
        "field 'text' is null",
        "field 'text': invalid UTF-8 in column 'text'",
    ]
    assert only.rows.text is not None
    assert only.rows.text.to_pylist() == ["\ufffd", None, "b\ufffdd"]
    assert only.rows.fields["text"].to_pylist() == ["good", None, None]
    assert only.rows.kept["title"].to_pylist() == [None, "x", "y"]
    only.rows.to_table().validate(full=True)


def test_read_absent_column_makes_every_row_bad_and_keeps_the_cut(tmp_path: Path) -> None:
    pieces = list(
        parquet.read(shard_of(tmp_path, documents(10)), request(rows=4, fields={"text": "body"}))
    )
    assert spans(pieces) == [(0, 4), (4, 8), (8, 10)]
    assert set(errors(pieces)) == {"field 'text': no column 'body' in this shard"}


def test_read_column_name_with_a_dot_does_not_bring_its_namesakes(tmp_path: Path) -> None:
    table = pa.table({"a.b": ["x"], "a": [{"b": "y", "c": "z"}], "a.c": ["w"]})
    fields = {"text": "a.b", "pair": "a.c"}
    kept = pa.schema([("a", pa.struct([("b", pa.string()), ("c", pa.string())]))])
    (only,) = parquet.read(shard_of(tmp_path, table), request(fields=fields, kept=kept))
    assert only.rows.fields["text"].to_pylist() == ["x"]
    assert only.rows.fields["pair"].to_pylist() == ["w"]
    assert only.rows.kept["a"].to_pylist() == [{"b": "y", "c": "z"}]


def test_read_kept_column_of_another_type_is_refused_naming_the_shard(tmp_path: Path) -> None:
    kept = pa.schema([("id", pa.string())])
    with pytest.raises(InputError, match=r"shard 'in.parquet': column 'id' is int64"):
        list(parquet.read(shard_of(tmp_path, documents(3)), request(kept=kept)))


def test_read_twin_columns_are_refused_only_where_needed(tmp_path: Path) -> None:
    table = pa.table([["a"], ["b"], [1], [2]], names=["text", "text", "n", "n"])
    shard = shard_of(tmp_path, table)
    with pytest.raises(InputError, match="'text'"):
        list(parquet.read(shard, request()))
    with pytest.raises(InputError, match="'n'"):
        list(parquet.read(shard, request(fields={}, kept=pa.schema([("n", pa.int64())]))))


def damaged_forms() -> Iterator[tuple[str, bytes]]:
    whole = paged(documents(10), group_rows=5, page_rows=5)
    yield "empty", b""
    yield "magic only", b"PAR1"
    yield "text", b"this is not a Parquet file at all"
    yield "truncated", truncated(whole, 0.7)
    yield "encrypted", whole[:-4] + b"PARE"
    yield "footer", whole[:-60] + b"\xff" * 52 + whole[-8:]


@pytest.mark.parametrize(("form", "data"), list(damaged_forms()), ids=lambda value: str(value)[:12])
def test_read_of_a_file_that_cannot_be_opened_is_one_break(
    tmp_path: Path, form: str, data: bytes
) -> None:
    shard = shard_of(tmp_path, data)
    (only,) = parquet.read(shard, request(kept=pa.schema([("id", pa.int64())])))
    assert (only.split.index, only.split.start, only.split.stop, only.split.last) == (0, 0, 0, True)
    (gap,) = only.breaks
    assert (gap.start, gap.stop) == (0, None)
    assert gap.reason
    assert len(only.rows) == 0
    with pytest.raises(InputError, match=r"'in.parquet' cannot be opened as Parquet"):
        parquet.inspect(shard)
    with pytest.raises(InputError):
        parquet.part_rows(data)


def read_damaged(tmp_path: Path, data: bytes, **bounds: int) -> list[SplitRows]:
    return list(parquet.read(shard_of(tmp_path, data), request(kept=documents(0).schema, **bounds)))


def test_read_corrupt_page_loses_the_rest_of_its_row_group_only(tmp_path: Path) -> None:
    data = flipped(paged(documents(300), group_rows=100, page_rows=10), "<142>")
    first, second = read_damaged(tmp_path, data)
    assert spans([first, second]) == [(0, 140), (200, 300)]
    assert first.breaks == ()
    (gap,) = second.breaks
    assert (gap.start, gap.stop) == (140, 200)
    assert "CRC" in gap.reason
    assert texts([first, second]) == [
        text for row, text in enumerate(documents(300)["text"].to_pylist()) if not 140 <= row < 200
    ]
    assert (first.split.last, second.split.last) == (False, True)


def test_read_corrupt_page_at_the_end_goes_with_the_last_split(tmp_path: Path) -> None:
    data = flipped(paged(documents(300), group_rows=100, page_rows=10), "<298>")
    pieces = read_damaged(tmp_path, data, rows=100)
    assert spans(pieces) == [(0, 100), (100, 200), (200, 290)]
    assert [piece.split.last for piece in pieces] == [False, False, True]
    assert [(gap.start, gap.stop) for gap in pieces[2].breaks] == [(290, 300)]


def test_read_corrupt_row_groups_throughout_leave_one_empty_split(tmp_path: Path) -> None:
    data = paged(documents(20), group_rows=10, page_rows=10)
    (only,) = read_damaged(tmp_path, wiped(wiped(data, 0, 1), 1, 0))
    assert (only.split.start, only.split.stop, only.split.last) == (0, 0, True)
    assert [(gap.start, gap.stop) for gap in only.breaks] == [(0, 10), (10, 20)]


@SLOWLY
@given(data=st.data())
def test_read_after_damage_gives_the_same_splits_whatever_is_done(
    data: st.DataObject, tmp_path: Path
) -> None:
    file = paged(documents(120), group_rows=40, page_rows=7)
    for row in data.draw(st.sets(st.integers(0, 119), min_size=1, max_size=3)):
        file = flipped(file, f"<{row}>")
    rows = data.draw(st.integers(1, 50))
    whole = read_damaged(tmp_path, file, rows=rows)
    done = [
        piece.split
        for piece in whole
        if data.draw(st.booleans(), label=f"split {piece.split.index} done")
    ]
    again = read_damaged(tmp_path, file, rows=rows, done=done)  # type: ignore[arg-type]
    expected = [piece for piece in whole if piece.split not in done]
    assert [piece.split for piece in again] == [piece.split for piece in expected]
    assert [piece.breaks for piece in again] == [piece.breaks for piece in expected]
    covered = [(g.start, g.stop) for piece in whole for g in piece.breaks] + spans(whole)
    places = sorted(row for start, stop in covered for row in range(start, stop or 0))
    assert places == list(range(120))


@SLOWLY
@given(data=st.data())
def test_read_of_arbitrary_damage_accounts_for_every_row_of_the_footer(
    data: st.DataObject, tmp_path: Path
) -> None:
    compression = data.draw(st.sampled_from(["none", "zstd", "snappy"]))
    table = documents(60)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=20, compression=compression)
    file = bytearray(sink.getvalue().to_pybytes())
    footer = len(file) - 8 - int.from_bytes(file[-8:-4], "little")
    for place in data.draw(st.lists(st.integers(4, footer - 1), min_size=1, max_size=4)):
        file[place] ^= data.draw(st.integers(1, 255))
    pieces = read_damaged(tmp_path, bytes(file), rows=13)
    covered = [(g.start, g.stop) for piece in pieces for g in piece.breaks] + spans(pieces)
    assert sorted(row for a, b in covered for row in range(a, b or 0)) == list(range(60))
    for piece in pieces:
        piece.rows.to_table().validate(full=True)


def test_read_failing_storage_is_never_taken_for_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = pa.table({"text": [f"{row} " * 1000 for row in range(300)]})
    shard = shard_of(tmp_path, paged(long, group_rows=100, page_rows=10))
    size = shard.size
    assert size > 500_000
    for broken in (range(size - 8, size), range(size // 3, size // 2), range(100, 200)):
        monkeypatch.setattr(parquet, "open_file", partial(CountedFile, broken=broken))
        with pytest.raises(StorageError, match="the network is gone"):
            list(parquet.read(shard, request()))
    monkeypatch.setattr(parquet, "open_file", partial(CountedFile, broken=range(size - 8, size)))
    with pytest.raises(StorageError, match="the network is gone"):
        parquet.inspect(shard)


def test_read_of_a_shard_that_no_longer_opens_after_splits_are_done_is_refused(
    tmp_path: Path,
) -> None:
    first, _ = parquet.read(shard_of(tmp_path, documents(4)), request(rows=2))
    with pytest.raises(InputError, match="cannot be opened"):
        list(parquet.read(shard_of(tmp_path, b"PAR1"), request(rows=2, done=[first.split])))


def test_inspect_gives_schema_without_metadata_and_rows(tmp_path: Path) -> None:
    shard = shard_of(tmp_path, documents(7).replace_schema_metadata({"pandas": "{}"}))
    found = parquet.inspect(shard)
    assert found.schema.equals(documents(0).schema, check_metadata=True)
    assert (found.rows, found.whole) == (7, True)
    assert parquet.count(shard) == 7


def test_read_of_a_file_by_duckdb_equals_one_by_pyarrow(tmp_path: Path) -> None:
    shard = shard_of(tmp_path, documents(3000))
    expected = list(parquet.read(shard, request(rows=500)))
    other = tmp_path / "duck.parquet"
    duckdb.sql(f"copy (from '{shard.url}') to '{other}' (format parquet, row_group_size 2048)")
    written = Shard(path="in.parquet", url=str(other), format="parquet", size=1, version="1")
    found = list(parquet.read(written, request(rows=500)))
    assert [piece.split for piece in found] == [piece.split for piece in expected]
    assert texts(found) == texts(expected)
