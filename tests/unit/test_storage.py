"""Local stores, places, failures and what they look like through decoders."""

import errno
import gzip
import io
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from fsspec.implementations.memory import MemoryFileSystem

from labelmill.errors import ConfigError, StorageError
from labelmill.storage import (
    FileMissing,
    absolute,
    failures,
    is_local,
    join,
    open_file,
    open_store,
    split_url,
)
from labelmill.storage.local import LocalStore
from labelmill.storage.ranged import RangedFile
from labelmill.storage.remote import RemoteStore
from tests.support.faulty import FaultyFiles

# The child dies inside `create`: with the temporary written, and with the link made.
DYING = """
import os, pathlib, signal, sys
from labelmill.storage import open_store
where, root = sys.argv[1:]
def die(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)
if where == "written":
    pathlib.Path.hardlink_to = die
elif where == "synced":
    os.fsync = die
else:
    pathlib.Path.unlink = die
open_store(root).create("x.parquet", b"whole" * 1000)
"""


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "PAUSES", (0, 0, 0))


def reset() -> Exception:
    return ConnectionResetError(errno.ECONNRESET, "connection reset by peer")


def refusal(code: str) -> Exception:
    """What s3fs raises for an error code of a store that does not name the condition."""
    cause = Exception(code)
    cause.response = {"Error": {"Code": code}}  # type: ignore[attr-defined]
    error = OSError(errno.EINVAL, code)
    error.__cause__ = cause
    return error


def faulty(scheme: str, *plan: Exception) -> tuple[FaultyFiles, RemoteStore]:
    files = FaultyFiles(*plan)
    return files, RemoteStore(f"{scheme}://bucket", files, "/bucket")


@pytest.mark.parametrize("where", ["synced", "written", "linked"])
def test_create_killed_in_the_middle_leaves_nothing_or_the_whole_file(
    tmp_path: Path, where: str
) -> None:
    child = subprocess.run([sys.executable, "-c", DYING, where, str(tmp_path)], check=False)
    assert child.returncode == -9

    store = open_store(str(tmp_path))
    seen = {entry.path: entry.size for entry in store.list()}
    assert seen == ({"x.parquet": 5000} if where == "linked" else {})
    assert list(tmp_path.glob("**/*.parquet")) == [tmp_path / name for name in seen]
    assert any(item.name.startswith(".tmp-") for item in tmp_path.iterdir())
    assert store.create("x.parquet", b"again") is (where != "linked")


def test_sweep_removes_temporaries_of_killed_writers_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "_b"
    folder.mkdir(parents=True)
    kept = [folder / ".tmp-mine", folder / "x.parquet", tmp_path / ".tmp-0123.parquet"]
    for place in kept:
        place.write_bytes(b"1")
    for place in (tmp_path, folder):
        subprocess.run([sys.executable, "-c", DYING, "written", str(place)], check=False)
    assert len(list(tmp_path.rglob(".tmp-*"))) == 4
    open_store(str(tmp_path)).sweep()
    assert sorted(item for item in tmp_path.rglob("*") if item.is_file()) == sorted(kept)


def test_sweep_of_a_directory_that_is_not_there_does_nothing(tmp_path: Path) -> None:
    open_store(str(tmp_path / "none")).sweep()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("taken", [False, True])
def test_create_whose_temporary_is_swept_away_writes_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, taken: bool
) -> None:
    store = open_store(str(tmp_path))
    if taken:
        store.create("x", b"theirs")
    swept: list[int] = []

    def sync(handle: int) -> None:  # called while the temporary is there and has no name yet
        if not swept:
            swept.append(len(list(tmp_path.glob(".tmp-*"))))
            store.sweep()

    monkeypatch.setattr(os, "fsync", sync)
    assert store.create("x", b"ours") is not taken
    assert swept == [1]
    assert [item.name for item in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == (b"theirs" if taken else b"ours")


def test_create_whose_temporaries_are_always_swept_away_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(str(tmp_path))
    monkeypatch.setattr(os, "fsync", lambda _: store.sweep())
    with pytest.raises(StorageError, match="removed 5 times"):
        store.create("x", b"ours")
    assert list(tmp_path.iterdir()) == []


def test_create_leaves_no_temporary_behind(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    assert store.create("a/x", b"1")
    assert not store.create("a/x", b"2")
    assert [item.name for item in (tmp_path / "a").iterdir()] == ["x"]


def test_create_without_space_for_the_name_removes_its_temporary(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="too long"):
        open_store(str(tmp_path)).create("x" * 300, b"1")
    assert list(tmp_path.iterdir()) == []


def test_create_without_hard_links_says_so_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(place: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with pytest.raises(StorageError, match="without hard links"):
        open_store(str(tmp_path)).create("x", b"1")
    assert list(tmp_path.iterdir()) == []


def test_create_whose_link_was_made_but_not_answered_is_won(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link_and_deny(place: Path, target: Path) -> None:
        os.link(target, place)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(Path, "hardlink_to", link_and_deny)
    assert open_store(str(tmp_path)).create("x", b"1")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_create_without_permission_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="access denied"):
        open_store(str(tmp_path)).create("x", b"1")


def test_list_follows_symlinks_but_none_that_leads_back_up(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"1")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "y").symlink_to(tmp_path / "a" / "x")

    found = {entry.path for entry in open_store(str(tmp_path)).list()}
    assert found == {"a/x", "b/x", "y"}


def test_list_with_a_symlink_to_nothing_names_it(tmp_path: Path) -> None:
    (tmp_path / "lost.jsonl").symlink_to(tmp_path / "gone")
    with pytest.raises(FileMissing, match=r"lost\.jsonl.*symbolic link"):
        list(open_store(str(tmp_path)).list())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_list_with_a_closed_directory_names_it(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(StorageError, match=r"closed.*access denied"):
        list(open_store(str(tmp_path)).list())


def test_list_passes_over_what_is_not_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    store = open_store(str(tmp_path))
    assert list(store.list()) == []
    assert store.kind("pipe.jsonl") is None


def test_open_of_a_file_cut_while_reading_is_a_storage_error(tmp_path: Path) -> None:
    place = tmp_path / "x"
    place.write_bytes(b"x" * 100_000)
    with open_file(str(place)) as file:
        file.read(10)
        os.truncate(place, 20_000)
        with pytest.raises(StorageError, match=r"ended after .* of 100000 bytes"):
            file.read()


def test_open_of_a_file_written_to_while_reading_is_a_storage_error(tmp_path: Path) -> None:
    place = tmp_path / "x"
    place.write_bytes(b"a" * 1000)
    os.utime(place, (1, 1))
    with open_store(str(tmp_path)).open("x") as file, place.open("r+b") as writer:
        assert file.read(10) == b"a" * 10
        writer.write(b"b" * 1000)
        writer.flush()
        with pytest.raises(StorageError, match=r"x' was written to while it was read"):
            file.read(10)


def test_open_of_a_file_replaced_while_reading_goes_on_with_the_one_opened(tmp_path: Path) -> None:
    place = tmp_path / "x"
    place.write_bytes(b"a" * 1000)
    with open_store(str(tmp_path)).open("x") as file:
        assert file.read(10) == b"a" * 10
        (tmp_path / "y").write_bytes(b"b" * 1000)
        (tmp_path / "y").replace(place)
        assert file.read() == b"a" * 990


def test_places_are_written_in_one_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert absolute("a/../b/") == str(tmp_path / "b")
    assert absolute("~/x") == "/home/me/x"
    assert absolute("file:///a%20b#c?d") == "/a b#c?d"
    assert absolute("file://localhost/a") == "/a"
    assert absolute("s3://b/k%20/") == "s3://b/k%20"
    assert absolute("S3://B/K") == "s3://B/K"
    assert [is_local(place) for place in ("/a://b", "s3://b", "memory://")] == [True, False, False]


@pytest.mark.parametrize(
    "url",
    ["/a/b", "/b", "s3://a/b", "s3://a/b/c", "s3://a/b//c", "memory://a", "gs://b/x?y#z"],
)
def test_split_url_and_join_are_inverse(url: str) -> None:
    assert join(*split_url(url)) == url
    assert join(url, "") == url


def test_open_store_of_a_chain_of_urls_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="no URL may have '::' in it"):
        open_store("memory://a::b")


def test_open_store_of_an_unknown_scheme_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"'s4://b'.*no store is known"):
        open_store("s4://b")


@pytest.mark.parametrize(
    ("url", "extra"), [("s3://b", "s3"), ("gs://b", "gcs"), ("abfss://b@c", "azure")]
)
def test_open_store_without_its_package_says_what_to_install(url: str, extra: str) -> None:
    without = f"""
import sys
import uuid
sys.modules["s3fs"] = sys.modules["gcsfs"] = sys.modules["adlfs"] = None
from labelmill.storage import open_store
open_store({url!r})
"""
    child = subprocess.run([sys.executable, "-c", without], check=False, capture_output=True)
    assert f"ConfigError: '{url}' needs a package" in child.stderr.decode()
    assert f"pip install 'labelmill[{extra}]'" in child.stderr.decode()


def test_read_that_fails_for_a_moment_is_repeated() -> None:
    files, store = faulty("http")
    files.pipe_file("/bucket/x", b"0123456789")
    with store.open("x") as file:
        files.plan = [reset(), TimeoutError("slow"), reset()]
        assert file.read(4) == b"0123"
        assert file.read() == b"456789"


def test_read_that_keeps_failing_is_a_storage_error_naming_the_url() -> None:
    files, store = faulty("http")
    files.pipe_file("/bucket/x", b"0123456789")
    with store.open("x") as file:
        files.plan = [reset() for _ in range(9)]
        with pytest.raises(StorageError, match=r"http://bucket/x.*connection reset"):
            file.read()
    assert len(files.plan) == 5


def test_refused_credentials_are_not_repeated_and_said() -> None:
    files, store = faulty("http", PermissionError("Forbidden"))
    with pytest.raises(StorageError, match=r"access denied \(Forbidden\); check"):
        store.stat("x")
    assert files.calls == 1


def test_refusal_of_a_web_server_is_one_of_access() -> None:
    kind = type("Refusal", (Exception,), {"__module__": "aiohttp", "status": 403})
    cause = kind("Forbidden")
    error = FileNotFoundError("https://host/x")  # which fsspec makes of it
    error.__cause__ = cause
    files, store = faulty("http", error)
    with pytest.raises(StorageError, match=r"access denied \(Refusal: Forbidden\); check"):
        store.stat("x")
    assert files.calls == 1


def test_library_that_repeats_by_itself_is_asked_once() -> None:
    files, store = faulty("gs", reset())
    with pytest.raises(StorageError, match="connection reset"):
        store.stat("x")
    assert files.calls == 1


@pytest.mark.parametrize("code", ["PreconditionFailed", "412"])
def test_create_refused_by_the_condition_is_taken(code: str) -> None:
    files, store = faulty("gs")
    files.pipe_file("/bucket/x", b"first")
    files.plan = [refusal(code)]
    assert not store.create("x", b"second")
    assert files.cat_file("/bucket/x") == b"first"


def test_create_refused_by_a_condition_that_nobody_holds_is_an_error() -> None:
    _, store = faulty("gs", refusal("PreconditionFailed"))
    with pytest.raises(StorageError, match="gs://bucket/x"):
        store.create("x", b"1")


def test_create_that_met_another_upload_is_repeated() -> None:
    _, store = faulty("gs", refusal("ConditionalRequestConflict"))
    assert store.create("x", b"1")


@pytest.mark.parametrize(
    ("code", "advice"), [("400", "credentials may have expired"), ("NotImplemented", "only if abs")]
)
def test_what_s3_says_in_a_word_is_said_with_what_to_do(code: str, advice: str) -> None:
    _, store = faulty("s3", refusal(code))
    with pytest.raises(StorageError, match=rf"'s3://bucket/x': {code}; .*{advice}"):
        store.stat("x")


def test_create_where_files_cannot_be_whole_is_refused() -> None:
    files, store = faulty("sftp")
    with pytest.raises(StorageError, match=r"cannot be created whole.*s3://"):
        store.create("x", b"1")
    assert files.calls == 0


def test_list_that_fails_is_not_an_empty_list() -> None:
    for failing in (PermissionError("Forbidden"), OSError(errno.EIO, "Input/output error")):
        _, store = faulty("memory", failing)
        with pytest.raises(StorageError, match="memory://bucket"):
            list(store.list())


def failing_after(data: bytes, good: int, error: Exception) -> RangedFile:
    """A file of which reads beyond the first `good` bytes fail."""

    class Handle(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() + (size or 0) > good:
                raise error
            return super().read(size)

    return RangedFile(Handle(data), len(data), "the file", lambda read: read())


def test_storage_error_passes_through_gzip() -> None:
    data = gzip.compress(os.urandom(300_000))
    with pytest.raises(StorageError, match="disk"):
        gzip.GzipFile(fileobj=failing_after(data, 200_000, StorageError("disk"))).read()


def test_storage_error_passes_through_zstandard() -> None:
    data = zstandard.compress(os.urandom(300_000))
    file = failing_after(data, 200_000, StorageError("disk"))
    with pytest.raises(StorageError, match="disk"):
        zstandard.ZstdDecompressor().stream_reader(file).read()


def parquet(rows: int) -> bytes:
    sink = io.BytesIO()
    columns = {name: os.urandom(rows * 8).hex(" ", 8).split() for name in ("a", "b", "c")}
    pq.write_table(pa.table(columns), sink, row_group_size=rows // 4)
    return sink.getvalue()


def test_storage_error_passes_through_pyarrow() -> None:
    data = parquet(4000)

    class Handle(io.BytesIO):
        broken = False

        def read(self, size: int | None = -1, /) -> bytes:
            if self.broken:
                raise StorageError("disk")
            return super().read(size)

    handle = Handle(data)
    file = pq.ParquetFile(RangedFile(handle, len(data), "x", lambda read: read()))
    handle.broken = True
    with pytest.raises(StorageError, match="disk"):
        file.read_row_group(2)


def test_pyarrow_reads_no_byte_of_a_remote_shard_twice() -> None:
    data = parquet(40_000)
    asked: list[tuple[int, int]] = []

    class Handle(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            asked.append((self.tell(), size or 0))
            return super().read(size)

    opened = RangedFile(Handle(data), len(data), "x", lambda read: read())
    file = pq.ParquetFile(opened, buffer_size=8 << 20, pre_buffer=False)
    footer = len(asked)
    assert sum(batch.num_rows for batch in file.iter_batches(batch_size=1000)) == 40_000
    assert sum(size for _, size in asked[footer:]) <= len(data)
    assert len(asked) - footer <= 12


def test_ranged_file_serves_buffered_and_text_readers(tmp_path: Path) -> None:
    LocalStore(str(tmp_path)).create("x", b"a\nb\nc")
    file: Any = open_file(str(tmp_path / "x"))
    assert list(io.TextIOWrapper(io.BufferedReader(file, 1 << 20))) == ["a\n", "b\n", "c"]


def test_home_directory_of_nobody_is_refused_by_name():
    with pytest.raises(ConfigError, match="no home directory is known for '~nobody-has-this-name'"):
        absolute("~nobody-has-this-name/corpus")


@pytest.mark.parametrize("name", ["", "a/b", "n" * 300, "a\0b"])
def test_name_that_no_file_can_have_is_missing(tmp_path, name):
    (tmp_path / "a").write_bytes(b"content")
    with pytest.raises(FileMissing):
        open_store(str(tmp_path)).open(name)


def test_folder_that_fails_is_not_left_out_of_a_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(f"memory://{uuid.uuid4().hex}")
    for path in ("a/1", "b/2", "b/c/3"):
        store.create(path, b"x")
    listing = MemoryFileSystem.ls

    def failing(self: MemoryFileSystem, path: str, **options: Any) -> Any:
        if path.endswith("/b/c"):
            raise gone if absent else PermissionError(errno.EACCES, "no")
        return listing(self, path, **options)

    gone, absent = FileNotFoundError("b/c"), False
    monkeypatch.setattr(MemoryFileSystem, "ls", failing)
    with pytest.raises(StorageError, match=r"/b/c': access denied"):
        list(store.list())
    assert sorted(entry.path for entry in store.list(depth=2)) == ["a/1", "b/2"]
    absent = True
    assert sorted(entry.path for entry in store.list()) == ["a/1", "b/2"]
