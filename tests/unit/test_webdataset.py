"""Reading WebDataset shards: grouping, columns, damage, cuts."""

import io
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelmill.errors import InputError
from labelmill.formats import webdataset
from labelmill.ops import tar_samples
from tests.support.jsonl import COMPRESS
from tests.support.sources import (
    counted,
    read,
    request,
    require_resumable,
    rows_of,
    shard_of,
    texts_and_errors,
)

TEXT = {"text": "txt"}


def tar(members: Sequence[tuple[str, bytes]], form: int = tarfile.USTAR_FORMAT) -> bytes:
    """An archive of these files."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=form) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return sink.getvalue()


def documents(count: int) -> list[tuple[str, bytes]]:
    return [
        member
        for row in range(count)
        for member in (
            (f"{row:05d}.txt", f"text {row}".encode()),
            (f"{row:05d}.jpg", b"\xff" * (row % 700)),
        )
    ]


def test_read_groups_members_by_key_and_types_them_by_extension(tmp_path: Path) -> None:
    data = tar(
        [
            ("a/0.JPG", b"one"), ("a/0.txt", b"00123"), ("a/0.seg.png", b"\0"),
            ("b.x/0.txt", b""), ("b.x/0.json", b'{"n": 1}'),
            ("plain", b"no extension"), ("._hidden.txt", b"x"), ("__meta__.json", b"x"),
            ("a/0.txt", b"again"),
        ]
    )  # fmt: skip
    shard = shard_of(tmp_path, data, "a.tar", "webdataset")
    found = webdataset.inspect(shard)
    assert found.schema == pa.schema(
        [
            ("__key__", pa.string()), ("jpg", pa.large_binary()), ("txt", pa.string()),
            ("seg.png", pa.large_binary()), ("json", pa.string()),
        ]
    )  # fmt: skip
    assert (found.rows, found.whole, found.aside) == (3, True, {"jpg", "seg.png"})
    rows = rows_of(read(shard, request(fields=TEXT, kept=found.schema)))
    assert rows.position.to_pylist() == [0, 1, 2]
    assert rows.kept["__key__"].to_pylist() == ["a/0", "b.x/0", "a/0"]
    assert rows.kept["jpg"].to_pylist() == [b"one", None, None]
    assert rows.kept["seg.png"].to_pylist() == [b"\0", None, None]
    assert rows.kept["json"].to_pylist() == [None, '{"n": 1}', None]
    assert rows.fields["text"].to_pylist() == ["00123", "", "again"]
    assert webdataset.count(shard) == 3


def test_read_media_field_is_bytes(tmp_path: Path) -> None:
    shard = shard_of(tmp_path, tar([("0.jpg", b"one"), ("1.txt", b"x")]), "a.tar", "webdataset")
    wanted = request(fields={"image": "jpg"}, kinds={"image": "media"})
    rows = rows_of(read(shard, wanted))
    assert rows.fields["image"].to_pylist() == [{"bytes": b"one", "path": None}, None]
    assert rows.error.to_pylist() == [None, "field 'image' is null"]


def test_read_bad_samples_cost_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_samples, "MAX_MEMBER", 1000)
    data = tar(
        [
            ("0.txt", b"a"), ("1.txt", b"\xff"), ("2.cls", b"3"), ("3.txt", b"x" * 1001),
            ("4.txt", b"b"), ("4.TXT", b"c"), ("5.txt", b"d"),
        ]
    )  # fmt: skip
    shard = shard_of(tmp_path, data, "a.tar", "webdataset")
    assert texts_and_errors(shard, request(fields=TEXT)) == [
        ("a", None),
        (None, "field 'text': invalid UTF-8 in column 'txt'"),
        (None, "field 'text' is null"),
        (None, "member 'txt' has 1001 bytes, more than 1000"),
        ("b", "member 'txt' stands twice"),
        ("d", None),
    ]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_read_long_names_and_other_members(tmp_path: Path, form: int) -> None:
    sink = io.BytesIO()
    name = "/".join(["folder" * 8] * 3) + "/\u00e9"
    with tarfile.open(fileobj=sink, mode="w", format=form) as archive:
        for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE):
            info = tarfile.TarInfo("0.txt")
            info.type, info.linkname = kind, "else.txt"
            archive.addfile(info)
        info = tarfile.TarInfo(name + ".txt")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    shard = shard_of(tmp_path, sink.getvalue(), "a.tar", "webdataset")
    rows = rows_of(read(shard, request(fields=TEXT, kept=pa.schema([("__key__", pa.string())]))))
    assert rows.kept["__key__"].to_pylist() == [name]
    assert rows.fields["text"].to_pylist() == ["abc"]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_read_of_no_samples_is_one_empty_split(tmp_path: Path, suffix: str) -> None:
    shard = shard_of(tmp_path, COMPRESS[suffix](tar([])), f"a.tar{suffix}", "webdataset")
    (only,) = read(shard, request(fields=TEXT))
    assert (only.split.start, only.split.stop, only.split.last, only.breaks) == (0, 0, True, ())
    assert webdataset.inspect(shard).schema == pa.schema([])


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.tar", b"", "no tar archive"),
        ("a.tar", b"no tar at all" * 100, "no tar archive"),
        ("a.tar", COMPRESS[".gz"](tar(documents(3))), "named .tar but is gzip"),
        ("a.tar.gz", tar(documents(3)), "named .gz but is not gzip"),
    ],
)
def test_read_of_what_cannot_be_opened_is_one_break(
    tmp_path: Path, name: str, data: bytes, reason: str
) -> None:
    shard = shard_of(tmp_path, data, name, "webdataset")
    (only,) = read(shard, request(fields=TEXT))
    assert [(gap.start, gap.stop) for gap in only.breaks] == [(0, None)]
    assert reason in only.breaks[0].reason
    assert (only.split.stop, only.split.last, len(only.rows)) == (0, True, 0)
    for verb in (webdataset.inspect, webdataset.count):
        with pytest.raises(InputError, match=reason):
            verb(shard)


@settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data())
def test_read_of_a_damaged_archive_keeps_the_samples_before(
    data: st.DataObject, tmp_path: Path
) -> None:
    whole = tar(documents(200))
    place = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(["cut", "cut gz", "wiped"]))
    if kind == "wiped":
        place = place // 512 * 512  # a header, or what a member holds
        stored, name = whole[:place] + b"\x07" * 512 + whole[place + 512 :], "a.tar"
    elif kind == "cut":
        stored, name = whole[:place], "a.tar"
    else:
        packed = COMPRESS[".gz"](whole)
        stored, name = packed[: max(place * len(packed) // len(whole), 6)], "a.tar.gz"
    shard = shard_of(tmp_path, stored, name, "webdataset")
    wanted = request(rows=23, fields=TEXT)
    pieces = read(shard, wanted)
    rows = rows_of(pieces)
    breaks = [gap for piece in pieces for gap in piece.breaks]
    marker = -(-len(whole.rstrip(b"\0")) // 512) * 512 + 512  # one block of the two is enough
    if kind == "cut gz" or (kind == "cut" and place < marker):
        assert [(gap.start, gap.stop) for gap in breaks] == [(len(rows), None)]
    good = rows.fields["text"].to_pylist()
    expected = [f"text {row}" for row in range(len(rows))]
    assert sum(one != other for one, other in zip(good, expected, strict=True)) <= 1
    assert len(rows) == 200 or breaks
    require_resumable(shard, wanted, data.draw(st.sets(st.sampled_from(range(len(pieces))))))


def test_read_looks_at_the_checksum_behind_the_end_marker(tmp_path: Path) -> None:
    packed = COMPRESS[".gz"](tar(documents(3)))
    shard = shard_of(tmp_path, packed[:-1], "a.tar.gz", "webdataset")

    pieces = read(shard, request(fields=TEXT))

    assert len(rows_of(pieces)) in (2, 3)
    assert [(gap.start, gap.stop) for piece in pieces for gap in piece.breaks] == [
        (len(rows_of(pieces)), None)
    ]


def test_read_damaged_header_is_a_break_and_not_the_end(tmp_path: Path) -> None:
    data = bytearray(tar(documents(10)))
    place = data.index(b"00005.txt")
    data[place : place + 512] = b"\x07" * 512
    shard = shard_of(tmp_path, bytes(data), "a.tar", "webdataset")
    (only,) = read(shard, request(fields=TEXT))
    assert len(only.rows) == 4  # the fifth may lack members
    assert [(gap.start, gap.stop) for gap in only.breaks] == [(4, None)]
    assert "a damaged header" in only.breaks[0].reason


def test_read_is_resumed_and_reads_each_byte_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for suffix, compress in COMPRESS.items():
        data = compress(tar(documents(1000)))
        shard = shard_of(tmp_path, data, f"a.tar{suffix}", "webdataset")
        wanted = request(size=20_000, fields=TEXT, kept=pa.schema([("jpg", pa.large_binary())]))
        files = counted(monkeypatch, "webdataset")
        pieces = read(shard, wanted)
        assert files[0].given == shard.size
        assert len(pieces) > 10
        assert rows_of(pieces).fields["text"].to_pylist() == [f"text {row}" for row in range(1000)]
        assert [piece.split.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        require_resumable(shard, wanted, [0, 3, 4, 9])
        require_resumable(shard, wanted, [len(pieces) - 1])


_READ = """
    import sys
    from labelmill.formats import ReadRequest, webdataset
    from labelmill.splits import CutRule, Shard
    shard = Shard(path="a.tar", url=sys.argv[1], format="webdataset", size=0, version="")
    rule = CutRule(split_rows=1000, split_bytes=8 << 20)
    rows = 0
    wanted = ReadRequest(rule=rule, fields={"image": "jpg"}, kinds={"image": "media"})
    for split in webdataset.read(shard, wanted):
        rows += len(split.rows)
    status = dict(line.split(":") for line in open("/proc/self/status") if ":" in line[:20])
    print(rows, int(status["VmHWM"].split()[0]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_read_200_mb_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for row in range(2000):
            info = tarfile.TarInfo(f"{row}.jpg")
            info.size = 100_000
            archive.addfile(info, io.BytesIO(b"x" * info.size))
    command = [sys.executable, "-c", textwrap.dedent(_READ), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows, peak = (int(word) for word in done.stdout.split())
    assert rows == 2000
    assert peak < 300
