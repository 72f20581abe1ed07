"""S3 as it is: requests counted at a real server, child processes, whole listings."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from s3fs import S3FileSystem

from labelmill.errors import InputError, StorageError
from labelmill.source import list_shards, recheck
from labelmill.storage import FileMissing, open_file, open_store, refuse_no_room
from tests.support.s3 import S3Bucket

CREATING = """
import sys
from labelmill.storage import open_store
store = open_store(sys.argv[1])
for number in range(10_000):
    store.create(f"part-{number:05d}.parquet", b"whole" * 200_000)
"""


def test_large_object_is_one_conditional_put_of_one_request(s3_bucket: S3Bucket) -> None:
    # s3fs cuts 100 MiB and more into parts, unless told otherwise.
    data = memoryview(bytes(101 << 20))
    before = len(s3_bucket.server.requests)
    store = open_store(s3_bucket.url)

    assert store.create("big", data)
    sent = [method for method, _, _ in s3_bucket.server.requests[before:]]
    assert sent.count("PUT") == 1
    assert "POST" not in sent
    assert store.stat("big").size == 101 << 20
    assert not store.create("big", data)


def test_condition_is_the_servers_and_not_only_ours(
    s3_bucket: S3Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(s3_bucket.url)
    # As on AWS, where nobody looks before the upload.
    monkeypatch.setattr(type(store), "_honours_conditions", lambda _: True)
    assert store.create("x", b"first")
    before = len(s3_bucket.server.requests)

    assert not store.create("x", b"second")
    assert s3_bucket.server.requests[before][0::2] == ("PUT", "412")
    assert s3_bucket.read("x") == b"first"


def test_read_asks_for_exactly_the_bytes_wanted(s3_bucket: S3Bucket) -> None:
    s3_bucket.put("x", bytes(range(256)) * 8192)
    file = open_file(f"{s3_bucket.url}/x")
    before = len(s3_bucket.server.requests)

    file.seek(1 << 20)
    assert len(file.read(1 << 20)) == 1 << 20
    assert file.read(1) == b""
    assert [request[0] for request in s3_bucket.server.requests[before:]] == ["GET"]


def test_object_replaced_while_being_read_is_a_storage_error(s3_bucket: S3Bucket) -> None:
    s3_bucket.put("x", b"a" * 1000)
    file = open_file(f"{s3_bucket.url}/x")
    assert file.read(10) == b"a" * 10
    s3_bucket.put("x", b"b" * 1000)
    with pytest.raises(StorageError, match=r"s3://.*/x"):
        file.read(10)


def test_parquet_on_s3_is_read_column_by_column(s3_bucket: S3Bucket, tmp_path: Path) -> None:
    table = pa.table({"a": list(range(5000)), "b": [str(n) * 5 for n in range(5000)]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=1000)
    s3_bucket.put("x.parquet", (tmp_path / "x.parquet").read_bytes())

    with open_file(f"{s3_bucket.url}/x.parquet") as source:
        file = pq.ParquetFile(source, buffer_size=8 << 20, pre_buffer=False)
        assert pa.Table.from_batches(file.iter_batches(columns=["b"])) == table.select(["b"])


def test_shards_of_a_bucket_are_listed_and_rechecked(s3_bucket: S3Bucket) -> None:
    for key in ("in/a.jsonl", "in/d/b.jsonl.gz", "in/_c/d.jsonl", "in/e.txt", "in/folder/"):
        s3_bucket.put(key, b"" if key.endswith("/") else b"{}\n")

    listing = list_shards([f"{s3_bucket.url}/in"])
    assert [shard.path for shard in listing.shards] == ["a.jsonl", "d/b.jsonl.gz"]
    assert listing.foreign == (f"{s3_bucket.url}/in/e.txt",)
    glob = list_shards([f"{s3_bucket.url}/in/*.jsonl"])
    assert [shard.path for shard in glob.shards] == ["a.jsonl"]
    whole = list_shards([s3_bucket.url])
    assert [shard.path for shard in whole.shards] == ["in/a.jsonl", "in/d/b.jsonl.gz"]

    recheck(listing.shards[0])
    s3_bucket.put("in/a.jsonl", b"[]\n")
    with pytest.raises(InputError, match="changed"):
        recheck(listing.shards[0])
    with pytest.raises(InputError, match=r"did you mean 'in'\?"):
        list_shards([f"{s3_bucket.url}/inn"])


def test_folder_that_cannot_be_listed_is_not_left_out_of_a_glob(
    s3_bucket: S3Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("in/a/1.jsonl", "in/b/1.jsonl"):
        s3_bucket.put(key, b"{}\n")
    listing = S3FileSystem._lsdir

    async def denied(self: S3FileSystem, path: str, *args: Any, **options: Any) -> Any:
        if path.endswith("in/b"):
            raise PermissionError("Access Denied")
        return await listing(self, path, *args, **options)

    assert len(list_shards([f"{s3_bucket.url}/in/*/*.jsonl"]).shards) == 2
    monkeypatch.setattr(S3FileSystem, "_lsdir", denied)
    with pytest.raises(StorageError, match="access denied"):
        list_shards([f"{s3_bucket.url}/in/*/*.jsonl"])


def test_slash_at_the_end_means_what_lies_below_a_name(s3_bucket: S3Bucket) -> None:
    for key in ("both.jsonl", "both.jsonl/a.jsonl", "one.jsonl"):
        s3_bucket.put(key, b"{}\n")

    def paths(place: str) -> list[str]:
        return [shard.url for shard in list_shards([f"{s3_bucket.url}/{place}"]).shards]

    assert paths("both.jsonl") == [f"{s3_bucket.url}/both.jsonl"]
    assert paths("both.jsonl/") == [f"{s3_bucket.url}/both.jsonl/a.jsonl"]
    assert paths("one.jsonl/") == [f"{s3_bucket.url}/one.jsonl"]


def test_two_slashes_mean_another_object_than_one(s3_bucket: S3Bucket) -> None:
    s3_bucket.put("in/a.jsonl", b"{}\n")
    s3_bucket.put("in//a.jsonl", b"[]\n\n")
    with open_file(f"{s3_bucket.url}/in//a.jsonl") as file:
        assert file.read() == b"[]\n\n"
    for place in ("in//a.jsonl", "in"):
        with pytest.raises(InputError, match=r"/in//a\.jsonl' has a folder without a name"):
            list_shards([f"{s3_bucket.url}/{place}"])


def test_bucket_that_is_not_there_is_told_apart(s3_bucket: S3Bucket) -> None:
    store = open_store("s3://bucket-that-nobody-made/run")
    assert list(store.list()) == []
    with pytest.raises(FileMissing):
        store.stat("x")
    with pytest.raises(StorageError, match="no such bucket"):
        store.create("x", b"1")


@pytest.mark.parametrize("place", ["s3://", "s3:///x", "s3://no bucket/x", "s3://{bucket}"])
def test_place_where_no_object_can_be_is_missing(s3_bucket: S3Bucket, place: str) -> None:
    with pytest.raises(FileMissing, match=r"'s3://.*' does not exist"):
        open_file(place.format(bucket=s3_bucket.name))


def test_directory_is_no_empty_file(s3_bucket: S3Bucket) -> None:
    s3_bucket.put("in/", b"")
    s3_bucket.put("in/a", b"")
    with pytest.raises(FileMissing, match="is a directory, not a file"):
        open_file(f"{s3_bucket.url}/in")
    with open_file(f"{s3_bucket.url}/in/a") as file:
        assert file.read() == b""


def test_bucket_of_no_possible_name_is_told_in_one_line(s3_bucket: S3Bucket) -> None:
    with pytest.raises(InputError, match=r"does not exist: there is no 'no bucket' in 's3://'"):
        list_shards(["s3://no bucket/x"])
    with pytest.raises(StorageError, match=r"^'s3://': there is no such bucket; create it first$"):
        refuse_no_room("s3://")


def test_output_in_no_bucket_is_refused_before_anything_is_written(s3_bucket: S3Bucket) -> None:
    before = len(s3_bucket.server.requests)
    with pytest.raises(StorageError, match=r"'s3://bucket-that-nobody-made/run': there is no such"):
        refuse_no_room("s3://bucket-that-nobody-made/run")
    refuse_no_room(f"{s3_bucket.url}/run")
    assert {method for method, _, _ in s3_bucket.server.requests[before:]} <= {"GET", "HEAD"}


LISTED = """
import os
from labelmill.errors import StorageError
from labelmill.storage import open_store
try:
    print(len(list(open_store(os.environ["PLACE"]).list())))
except StorageError as error:
    print(error)
"""


def listed(place: str, **environment: str) -> str:
    """What a process without credentials is told of a listing."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    kept |= {"HOME": "/nowhere", "AWS_EC2_METADATA_DISABLED": "true", "PLACE": place}
    found = subprocess.run(
        [sys.executable, "-c", LISTED],
        env=kept | environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return found.stdout.strip()


def test_without_credentials_the_error_says_how_to_give_them(s3_bucket: S3Bucket) -> None:
    s3_bucket.put("in/a", b"1")
    endpoint = {"AWS_ENDPOINT_URL": s3_bucket.env["AWS_ENDPOINT_URL"]}
    assert re.search("NoCredentials.*set AWS_PROFILE", listed(s3_bucket.url, **endpoint))
    assert listed(s3_bucket.url, **endpoint, FSSPEC_S3_ANON="true") == "1"


def test_server_that_is_not_there_is_a_storage_error(s3_bucket: S3Bucket) -> None:
    unreachable = """
from labelmill.errors import StorageError
from labelmill.storage import FileMissing, open_store
try:
    open_store("s3://b").stat("x")
except FileMissing:
    raise
except StorageError as error:
    print(error)
"""
    env = {**os.environ, **s3_bucket.env, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    env |= {"AWS_MAX_ATTEMPTS": "1"}
    child = subprocess.run(
        [sys.executable, "-c", unreachable], env=env, check=True, capture_output=True
    )
    assert b"'s3://b/x': " in child.stdout
    assert b"; check the network, AWS_ENDPOINT_URL" in child.stdout


@pytest.mark.slow
def test_child_killed_while_creating_leaves_only_whole_objects(s3_bucket: S3Bucket) -> None:
    env = {**os.environ, **s3_bucket.env}
    url = f"{s3_bucket.url}/run"
    child = subprocess.Popen([sys.executable, "-c", CREATING, url], env=env)
    deadline = time.monotonic() + 60
    while len(s3_bucket.keys()) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()

    sizes = {entry.size for entry in open_store(url).list()}
    assert sizes == {1_000_000}
    assert (
        not s3_bucket.server.client().list_multipart_uploads(Bucket=s3_bucket.name).get("Uploads")
    )


def test_listing_takes_one_page_at_a_time_and_misses_nothing(
    s3_bucket: S3Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelmill.storage.remote._PAGE", 3)
    store = open_store(f"{s3_bucket.url}/run")
    wanted = [f"day {n % 2}/{n}.jsonl" for n in range(7)]
    for path in (*(f"run/{name}" for name in wanted), "running/a"):
        open_store(s3_bucket.url).create(path, b"x")
    s3_bucket.server.requests.clear()
    found = store.list()
    next(found)
    assert len(s3_bucket.server.requests) == 1
    assert sorted(["day 0/0.jsonl", *(entry.path for entry in found)]) == sorted(wanted)
    assert len(s3_bucket.server.requests) == 3
    assert {entry.version for entry in store.list()} == {store.stat(wanted[0]).version}
