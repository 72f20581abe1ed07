"""Reading image and audio folders: shards, labels, metadata, what is missing, cuts."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelmill.errors import ConfigError, InputError
from labelmill.formats import audiofolder, imagefolder
from labelmill.ops import folder_rows
from labelmill.ops.fields import MEDIA
from labelmill.plan.columns import kept
from labelmill.plan.survey import Use, survey
from labelmill.source import changed, list_shards
from labelmill.splits import Shard
from tests.support.sources import CountedFile, read, request, require_resumable, rows_of

IMAGE = {"fields": {"image": "image"}, "kinds": {"image": "media"}}


def lay(root: Path, files: Mapping[str, bytes | str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def shards(root: Path, format_name: str = "imagefolder") -> list[Shard]:
    return list(list_shards([str(root)], format_name).shards)


def columns(shard: Shard, *names: str) -> list[tuple[object, ...]]:
    """The rows of a shard as tuples of these columns."""
    schema = imagefolder.inspect(shard).schema
    wanted = request(fields={}, kept=pa.schema([schema.field(name) for name in names]))
    rows = rows_of(read(shard, wanted))
    return list(zip(*(rows.kept[name].to_pylist() for name in names), strict=True))


CLASSES = {
    "cat/b.JPG": b"cat b", "cat/a.png": b"cat a", "dog/c.jpeg": b"dog c", "dog/deep/d.png": b"d",
    "cat/notes.txt": b"x", "empty/readme.md": b"x", "cat/.hidden.png": b"x", "cat/s.wav": b"x",
}  # fmt: skip


def test_folders_with_media_are_shards_and_all_else_is_foreign(tmp_path: Path) -> None:
    lay(tmp_path, CLASSES)
    listing = list_shards([str(tmp_path)], "imagefolder")
    assert [(s.path, Path(s.url), s.size) for s in listing.shards] == [
        ("cat/image", tmp_path / "cat", 10),
        ("dog/deep/image", tmp_path / "dog" / "deep", 1),
        ("dog/image", tmp_path / "dog", 5),
    ]
    assert {Path(path).name for path in listing.foreign} == {"notes.txt", "readme.md", "s.wav"}
    assert [s.path for s in shards(tmp_path, "audiofolder")] == ["cat/audio"]


def test_rows_are_files_by_name_with_the_folder_as_label(tmp_path: Path) -> None:
    lay(tmp_path, CLASSES)
    cat, deep, _ = shards(tmp_path)
    rows = rows_of(read(cat, request(**IMAGE)))
    assert rows.fields["image"].type == MEDIA
    assert rows.fields["image"].to_pylist() == [
        {"bytes": b"cat a", "path": str(tmp_path / "cat" / "a.png")},
        {"bytes": b"cat b", "path": str(tmp_path / "cat" / "b.JPG")},
    ]
    assert rows.position.to_pylist() == [0, 1]
    assert columns(cat, "file_name", "label") == [("cat/a.png", "cat"), ("cat/b.JPG", "cat")]
    assert columns(deep, "file_name", "label") == [("dog/deep/d.png", "deep")]
    assert (imagefolder.count(cat), imagefolder.inspect(cat).rows) == (2, 2)


def test_root_itself_has_no_label(tmp_path: Path) -> None:
    lay(tmp_path, {"a.wav": b"a", "b.flac": b"b"})
    (shard,) = shards(tmp_path, "audiofolder")
    assert (shard.path, shard.url) == ("audio", str(tmp_path))
    found = audiofolder.inspect(shard)
    assert found.schema == pa.schema([("file_name", pa.string()), ("audio", MEDIA)])
    assert columns(shard, "file_name") == [("a.wav",), ("b.flac",)]


def test_keep_all_carries_everything_but_the_media(tmp_path: Path) -> None:
    lay(tmp_path, {**CLASSES, "metadata.csv": "file_name,caption\ncat/a.png,Tom\n"})
    found = survey(shards(tmp_path), Use(texts=frozenset({"image"}), kept=None))
    assert kept(found, "all", jsonl=False).names == ["file_name", "label", "caption"]
    assert kept(found, ["image", "label"], jsonl=False).names == ["image", "label"]
    with pytest.raises(ConfigError, match="no shard has a column 'imag'"):
        kept(found, ["imag"], jsonl=False)


def test_metadata_of_csv_are_text_and_of_the_nearest_folder(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            **CLASSES,
            "metadata.csv": 'file_name,n\ncat/a.png,007\n./cat/b.JPG,"x\ny"\ndog/c.jpeg,1\n',
            "dog/deep/metadata.csv": "file_name,n,label\nd.png,9,puppy\n",
        },
    )
    cat, deep, dog = shards(tmp_path)
    assert columns(cat, "n", "label") == [("007", "cat"), ("x\ny", "cat")]
    assert columns(deep, "n", "label") == [("9", "puppy")]
    assert columns(dog, "n", "label") == [("1", "dog")]


def test_metadata_of_parquet_keep_their_types(tmp_path: Path) -> None:
    lay(tmp_path, {"a.png": b"", "b.png": b""})
    told = {"file_name": ["b.png", "a.png"], "n": pa.array([2, 1], pa.int16())}
    told["kind"] = pa.array(["x", "y"]).dictionary_encode()
    pq.write_table(pa.table(told), tmp_path / "metadata.parquet")
    (shard,) = shards(tmp_path)
    assert imagefolder.inspect(shard).schema.field("n").type == pa.int16()
    assert columns(shard, "n", "kind") == [(1, "y"), (2, "x")]


@pytest.mark.parametrize("data", [b"file_name,n", b"PAR1----\4\0\0\0PAR1"])
def test_metadata_that_are_no_parquet_are_refused(tmp_path: Path, data: bytes) -> None:
    lay(tmp_path, {"a.png": b"", "metadata.parquet": data})
    (shard,) = shards(tmp_path)
    with pytest.raises(InputError, match=r"metadata\.parquet' cannot be read as Parquet"):
        imagefolder.inspect(shard)


def test_metadata_of_json_lines_keep_their_types(tmp_path: Path) -> None:
    lines = (
        '{"file_name": "a.png", "n": 1, "boxes": [[1.5]], "any": "x"}\n\n'
        '{"file_name": "c.png", "n": null, "boxes": [], "any": {"k": 1}}\n'
    )
    lay(tmp_path, {"a.png": b"", "b.png": b"", "c.png": b"", "metadata.jsonl": lines})
    (shard,) = shards(tmp_path)
    types = {field.name: str(field.type) for field in imagefolder.inspect(shard).schema}
    assert (types["n"], types["boxes"], types["any"]) == (
        "int64", "list<item: list<item: double>>", "string",
    )  # fmt: skip
    assert columns(shard, "n", "boxes", "any") == [
        (1, [[1.5]], '"x"'), (None, None, None), (None, [], '{"k": 1}'),
    ]  # fmt: skip


def test_metadata_of_a_missing_file_are_a_bad_row(tmp_path: Path) -> None:
    text = "file_name,text\na/x.png,one\na/gone.png,two\nb/y.png,three\n"
    lay(tmp_path, {"a/x.png": b"", "b/y.png": b"", "metadata.csv": text})
    first, second = shards(tmp_path)
    rows = rows_of(read(first, request()))
    assert rows.fields["text"].to_pylist() == ["two", "one"]
    assert rows.error.to_pylist() == [
        "the metadata name a file 'gone.png' that is not there", None,
    ]  # fmt: skip
    assert imagefolder.count(first) == 2
    assert rows_of(read(second, request())).error.to_pylist() == [None]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("metadata.csv", "name,n\na.png,1\n", "no column 'file_name'"),
        ("metadata.csv", "file_name,n\na.png\n", "the row at byte 12: 1 cells, expected 2"),
        ("metadata.csv", "file_name\na.png\n./a.png\n", "more than one row for 'a.png'"),
        ("metadata.csv", "file_name,image\na.png,1\n", "more than one column is called 'image'"),
        ("metadata.jsonl", '{"file_name": "a.png"}\nx\n', "the line at byte 23: not JSON"),
        ("metadata.jsonl", '{"file_name": null}\n', "a 'file_name' is None"),
    ],
)
def test_metadata_that_cannot_be_used_are_one_break(
    tmp_path: Path, name: str, text: str, reason: str
) -> None:
    lay(tmp_path, {"a.png": b"", name: text})
    (shard,) = shards(tmp_path)
    (only,) = read(shard, request(**IMAGE))
    assert [(gap.start, gap.stop) for gap in only.breaks] == [(0, None)]
    assert reason in only.breaks[0].reason
    assert (len(only.rows), only.split.last) == (0, True)
    for verb in (imagefolder.inspect, imagefolder.count):
        with pytest.raises(InputError, match=reason):
            verb(shard)


def test_two_metadata_files_or_a_file_as_source_are_refused(tmp_path: Path) -> None:
    lay(tmp_path, {"a.png": b"", "metadata.csv": "", "metadata.jsonl": ""})
    with pytest.raises(InputError, match=r"both metadata.csv and metadata.jsonl"):
        shards(tmp_path)
    with pytest.raises(InputError, match="is no directory, as imagefolder needs"):
        shards(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"expected files ending in .*\.flac"):
        shards(tmp_path, "audiofolder")


def test_any_change_of_the_folder_or_its_metadata_is_noticed(tmp_path: Path) -> None:
    lay(tmp_path, {"a/x.png": b"x", "b/y.png": b"y", "metadata.csv": "file_name\na/x.png\n"})
    first, second = shards(tmp_path)
    assert (changed(first), changed(second)) == (None, None)
    lay(tmp_path, {"a/z.png": b""})
    assert "version" in (changed(first) or "")
    assert changed(second) is None
    (tmp_path / "a" / "z.png").unlink()
    lay(tmp_path, {"a/notes.txt": b""})
    assert changed(first) is None
    lay(tmp_path, {"metadata.csv": "file_name\n"})
    assert "version" in (changed(first) or "")
    assert "version" in (changed(second) or "")
    (tmp_path / "b" / "y.png").unlink()
    assert "is gone" in (changed(second) or "")


def test_read_is_resumed_and_opens_each_needed_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, {f"{row:04d}.png": b"x" * row for row in range(300)})
    (shard,) = shards(tmp_path)
    wanted = request(rows=70, size=10_000, **IMAGE)
    opened: list[str] = []

    def open_file(url: str) -> CountedFile:
        opened.append(url)
        return CountedFile(url)

    monkeypatch.setattr(folder_rows, "open_file", open_file)
    pieces = read(shard, wanted)
    contents = [each["bytes"] for each in rows_of(pieces).fields["image"].to_pylist()]
    assert contents == [b"x" * row for row in range(300)]
    assert sorted(opened) == opened == [str(tmp_path / f"{row:04d}.png") for row in range(300)]
    assert len(pieces) > 5
    opened.clear()
    done = {piece.split.index: piece.split for piece in pieces[:-1]}
    (last,) = read(shard, request(rows=70, size=10_000, done=done.values(), **IMAGE))
    assert last.rows.to_table() == pieces[-1].rows.to_table()
    assert len(opened) == len(last.rows)
    opened.clear()
    read(shard, request(fields={}, kept=pa.schema([("file_name", pa.string())])))
    assert opened == []
    plain = request(rows=70, fields={}, kept=pa.schema([("file_name", pa.string())]))
    require_resumable(shard, plain, [0, 2, 3])


def test_file_that_is_too_large_is_a_bad_row_and_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_rows, "MAX_FILE", 5)
    lay(tmp_path, {"a.png": b"12345", "b.png": b"123456"})
    (shard,) = shards(tmp_path)
    rows = rows_of(read(shard, request(**IMAGE)))
    assert rows.error.to_pylist() == [None, "a file of 6 bytes, more than 5"]
