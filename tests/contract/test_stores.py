"""What every store promises, asked of each kind of store.

Also of real ones, or of servers that stand for them: LABELMILL_TEST_STORES="gs://bucket abfs://box".
"""

import os
import pickle
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from labelmill.errors import StorageError
from labelmill.storage import Entry, FileMissing, Store, is_object_store, open_file, open_store

NAMES = [
    "plain.bin",
    "deep/er/x.bin",
    "sp ace.bin",
    "\u00fc\u4e2d.bin",
    "a#b%20c?d.bin",
    "-x",
    "n\nl",
]


OTHERS = os.environ.get("LABELMILL_TEST_STORES", "").split()


@pytest.fixture(params=["local", "memory", "s3", *OTHERS])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param in OTHERS:
        return open_store(f"{request.param}/{uuid.uuid4().hex}/tree")
    if request.param == "local":
        return open_store(str(tmp_path / "not" / "yet"))
    if request.param == "memory":
        return open_store(f"memory://{uuid.uuid4().hex}/tree")
    return open_store(f"{request.getfixturevalue('s3_bucket').url}/tree")


def paths(store: Store, *args: str, **options: object) -> list[str]:
    return sorted(entry.path for entry in store.list(*args, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_create_with_any_name_reads_back_and_lists(store: Store, name: str) -> None:
    if "\n" in name and is_object_store(store.url):
        pytest.skip("moto does not route keys with a newline, and Azurite lists them without it")
    assert store.create(name, b"content")

    assert store.open(name).read() == b"content"
    assert open_file(f"{store.url}/{name}").read() == b"content"
    assert paths(store) == [name]
    assert store.stat(name) == next(store.list())


def test_create_of_a_taken_name_is_false_and_keeps_the_first(store: Store) -> None:
    assert store.create("a/b", b"first")
    assert not store.create("a/b", b"second, and longer")

    assert store.open("a/b").read() == b"first"
    assert store.stat("a/b").size == 5


@pytest.mark.parametrize("data", [b"", memoryview(b"view")])
def test_create_takes_empty_data_and_views(store: Store, data: bytes | memoryview) -> None:
    assert store.create("x", data)
    assert store.open("x").read() == bytes(data)
    assert store.stat("x").size == len(data)


def test_create_raced_by_eight_threads_has_one_winner(store: Store) -> None:
    for attempt in range(5):
        start = threading.Barrier(8)

        def create(number: int, name: str, start: threading.Barrier) -> bool:
            start.wait()
            return store.create(name, bytes([number]) * 1000)

        with ThreadPoolExecutor(8) as pool:
            racing = [pool.submit(create, n, f"raced-{attempt}", start) for n in range(8)]
        won = [number for number, future in enumerate(racing) if future.result()]
        assert len(won) == 1
        assert store.open(f"raced-{attempt}").read() == bytes(won) * 1000


def test_create_below_a_file_is_a_storage_error(store: Store) -> None:
    if is_object_store(store.url):
        pytest.skip("object stores have no directories")
    store.create("a", b"file")
    with pytest.raises(StorageError, match="a"):
        store.create("a/b", b"below it")


def test_file_beside_a_directory_of_its_name_on_object_stores_is_two_things(store: Store) -> None:
    store.create("a/b", b"below")
    if is_object_store(store.url):
        assert store.create("a", b"beside")
    else:
        with pytest.raises(StorageError):
            store.create("a", b"beside")


def test_missing_file_is_told_apart(store: Store) -> None:
    for verb in (store.stat, store.open):
        with pytest.raises(FileMissing, match="nothing-here"):
            verb("nothing-here")
    assert store.kind("nothing-here") is None
    assert store.names("nothing-here") == ()
    assert paths(store) == paths(store, "nothing-here") == []


def test_directory_is_no_file(store: Store) -> None:
    store.create("a/b", b"x")
    assert (store.kind("a"), store.kind("a/b")) == ("directory", "file")
    assert store.names("a") == ("b",)
    with pytest.raises(FileMissing, match="directory"):
        store.stat("a")


def test_list_goes_below_a_prefix_and_not_beside_it(store: Store) -> None:
    for name in ("a/1", "a/b/2", "ab/3", "4"):
        store.create(name, b"x")

    assert paths(store) == ["4", "a/1", "a/b/2", "ab/3"]
    assert paths(store, "a") == ["a/1", "a/b/2"]
    assert paths(store, "a/b") == ["a/b/2"]
    assert paths(store, "4") == []
    assert paths(store, depth=1) == ["4"]
    assert paths(store, "a", depth=1) == ["a/1"]
    assert paths(store, depth=2) == ["4", "a/1", "ab/3"]


def test_list_without_hidden_leaves_out_names_with_dot_and_underscore(store: Store) -> None:
    for name in ("a", ".b", "_c", "_d/e", "f/.g/h", "f/i", "_j/k/l"):
        store.create(name, b"x")

    assert paths(store, hidden=False) == ["a", "f/i"]
    assert paths(store, "_j", hidden=False) == ["_j/k/l"]
    assert len(paths(store)) == 7


def test_list_shows_what_came_after_the_last_listing(store: Store) -> None:
    store.create("a", b"x")
    assert paths(store) == ["a"]
    open_store(store.url).create("b", b"y")
    assert paths(store) == ["a", "b"]


def test_delete_frees_the_name_and_may_be_repeated(store: Store) -> None:
    store.create("a/b", b"x")
    for _ in range(2):
        store.delete("a/b")
    store.delete("never/was")

    assert paths(store) == []
    assert store.create("a/b", b"again")


def test_version_changes_with_the_content(store: Store) -> None:
    store.create("a", b"one")
    before = store.stat("a")
    store.delete("a")
    store.create("a", b"two")

    assert isinstance(before, Entry)
    assert before.version
    assert store.stat("a").version != before.version


def test_open_reads_any_range_and_seeks(store: Store) -> None:
    data = bytes(range(256)) * 40
    store.create("x", data)
    with store.open("x") as file:
        assert file.read(10) == data[:10]
        assert file.seek(-5, 2) == len(data) - 5
        assert file.read(100) == data[-5:]
        assert file.read(1) == b""
        file.seek(300)
        assert file.read() == data[300:]
        assert (file.seek(len(data) + 7), file.read(3)) == (len(data) + 7, b"")
    assert file.closed
    with pytest.raises(ValueError, match="closed"):
        file.read(1)


def test_two_readers_of_one_file_do_not_disturb_each_other(store: Store) -> None:
    store.create("x", b"0123456789")
    one, other = store.open("x"), store.open("x")
    assert (one.read(3), other.read(5), one.read(3)) == (b"012", b"01234", b"345")


def test_store_survives_pickling(store: Store) -> None:
    store.create("x", b"content")
    assert pickle.loads(pickle.dumps(store)).open("x").read() == b"content"
