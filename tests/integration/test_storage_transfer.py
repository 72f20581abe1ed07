"""Directories of files to and from a real S3 server: what lands when, and what stays."""

from pathlib import Path

import pytest

from labelmill.errors import StorageError
from labelmill.storage import clear, download, is_object_store, open_filesystem, upload
from labelmill.storage.opening import open_remote
from tests.support.s3 import S3Bucket

LARGE = 101 << 20  # bytes; s3fs sends 100 MiB and more in parts


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def puts(bucket: S3Bucket) -> list[str]:
    """Keys in the order in which they were written."""
    asked = bucket.server.requests
    return [path.partition(f"{bucket.name}/")[2] for method, path, _ in asked if method == "PUT"]


def test_files_land_with_those_that_say_so_at_the_end(s3_bucket: S3Bucket, tmp_path: Path) -> None:
    files = {"a.json": b"a", "config.json": b"c", "deep/er/x.bin": b"x", "z.json": b"z"}
    upload(
        written(tmp_path / "here", files), f"{s3_bucket.url}/model", last=("config.json", "a.json")
    )

    mine = [key for key in puts(s3_bucket) if key.startswith("model/")]
    assert mine == ["model/deep/er/x.bin", "model/z.json", "model/config.json", "model/a.json"]
    download(f"{s3_bucket.url}/model", tmp_path / "there")
    found = {
        path.relative_to(tmp_path / "there").as_posix(): path.read_bytes()
        for path in (tmp_path / "there").rglob("*")
        if path.is_file()
    }
    assert found == files


def test_what_an_earlier_attempt_left_is_replaced_and_other_files_stay(
    s3_bucket: S3Bucket, tmp_path: Path
) -> None:
    s3_bucket.put("model/x", b"half")
    s3_bucket.put("model/other", b"other")
    s3_bucket.put("models", b"beside")
    upload(written(tmp_path / "here", {"x": b"whole"}), f"{s3_bucket.url}/model")
    assert s3_bucket.read("model/x") == b"whole"
    assert s3_bucket.read("model/other") == b"other"
    clear(f"{s3_bucket.url}/model")
    assert s3_bucket.keys() == ["models"]


def test_only_what_is_wanted_is_fetched(s3_bucket: S3Bucket, tmp_path: Path) -> None:
    for name in ("model.safetensors", "optimizer.pt"):
        s3_bucket.put(f"c/{name}", b"x")
    download(f"{s3_bucket.url}/c", tmp_path / "c", lambda name: name.startswith("model"))
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["model.safetensors"]


def test_large_file_lands_whole_in_parts_and_only_if_absent(
    s3_bucket: S3Bucket, tmp_path: Path
) -> None:
    file = tmp_path / "large"
    with file.open("wb") as large:
        large.truncate(LARGE)
    store = open_remote(s3_bucket.url)
    before = len(s3_bucket.server.requests)
    assert store.create_from("large", file)
    sent = [method for method, _, _ in s3_bucket.server.requests[before:]]
    assert sent.count("PUT") > 1
    assert sent[-1] == "POST"  # with which it appears
    assert store.stat("large").size == LARGE
    assert not store.create_from("large", file)


def test_another_writer_of_the_same_name_is_told_of(
    s3_bucket: S3Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = type(open_remote(s3_bucket.url))
    monkeypatch.setattr(store, "delete", lambda *_: None)  # it comes after we have looked
    monkeypatch.setattr(store, "_honours_conditions", lambda _: True)
    s3_bucket.put("model/x", b"theirs")
    with pytest.raises(StorageError, match="written by another process"):
        upload(written(tmp_path / "here", {"x": b"ours"}), f"{s3_bucket.url}/model")
    assert s3_bucket.read("model/x") == b"theirs"


def test_upload_whose_answer_was_lost_is_ours(
    s3_bucket: S3Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = type(open_remote(s3_bucket.url))
    create = store.create_from
    # The library repeats the request, and the store finds the name taken.
    monkeypatch.setattr(store, "create_from", lambda *where: create(*where) and False)
    upload(written(tmp_path / "here", {"x": b"ours", "y": b""}), f"{s3_bucket.url}/model")
    assert s3_bucket.read("model/x") == b"ours"


def test_arrow_reaches_the_same_place(s3_bucket: S3Bucket) -> None:
    filesystem, root = open_filesystem(f"{s3_bucket.url}/deep/er")
    with filesystem.open_output_stream(f"{root}/x") as stream:
        stream.write(b"content")
    assert s3_bucket.read("deep/er/x") == b"content"


def test_object_stores_are_told_from_others() -> None:
    assert is_object_store("s3://bucket/x")
    assert is_object_store("gs://bucket/x")
    assert not is_object_store("/a/directory")
    assert not is_object_store("https://host/x")
    assert not is_object_store("memory://x")


def test_nothing_is_deleted_where_nothing_is(
    s3_bucket: S3Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(*_: object) -> None:
        raise StorageError("access denied")

    monkeypatch.setattr(open_remote(s3_bucket.url)._fs, "rm_file", deny)
    upload(written(tmp_path / "here", {"x": b"x", "z": b"z"}), f"{s3_bucket.url}/m", last=("x",))
    assert s3_bucket.keys() == ["m/x", "m/z"]


@pytest.mark.parametrize("key", ["m/../outside", "m//etc/x", "m/a/./b"])
def test_name_that_leads_out_of_the_folder_is_refused(
    s3_bucket: S3Bucket, tmp_path: Path, key: str
) -> None:
    s3_bucket.put(key, b"x")
    with pytest.raises(StorageError, match="a name that no file can have"):
        download(f"{s3_bucket.url}/m", tmp_path / "m")
    assert [path.name for path in tmp_path.rglob("*")] == ["m"]


def test_object_beside_a_folder_of_its_name_is_told(s3_bucket: S3Bucket, tmp_path: Path) -> None:
    s3_bucket.put("m/a", b"x")
    s3_bucket.put("m/a/b", b"x")
    with pytest.raises(StorageError, match="m/a/b'"):
        download(f"{s3_bucket.url}/m", tmp_path / "m")
