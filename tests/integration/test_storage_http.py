"""Shards behind a plain web server: ranges, moments of failure, and what is really missing."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from labelmill.errors import InputError, StorageError
from labelmill.source import list_shards
from labelmill.storage import FileMissing, failures, open_file, open_store

DATA = bytes(range(256)) * 64


class _Site(ThreadingHTTPServer):
    """Serves DATA as /x.jsonl, /empty.jsonl without bytes, and as many 503 as it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refusals = 0
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: _Site

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        data = {"/x.jsonl": DATA, "/empty.jsonl": b""}.get(self.path)
        first, _, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        self.server.asked.append(f"{self.command} {first}-{last}")
        if self.server.refusals:
            self.server.refusals -= 1
            self.send_error(503)
        elif data is None:
            self.send_error(404)
        else:
            self.send_response(206 if first else 200)
            data = data[int(first) : int(last) + 1] if first else data
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", '"v1"')
            self.end_headers()
            self.wfile.write(data if body else b"")

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Site]:
    monkeypatch.setattr(failures, "PAUSES", (0, 0, 0))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with _Site() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_file_behind_http_is_a_shard_and_read_by_ranges(site: _Site) -> None:
    shard = list_shards([f"{site.url}/x.jsonl"]).shards[0]
    assert (shard.path, shard.size, shard.version) == ("x.jsonl", len(DATA), "v1")

    with open_file(shard.url) as file:
        file.seek(1000)
        assert file.read(500) == DATA[1000:1500]
        assert file.read() == DATA[1500:]
    assert site.asked[-2:] == ["GET 1000-1499", f"GET 1500-{len(DATA) - 1}"]


def test_file_that_is_not_there_is_told_though_the_server_lists_no_folders(site: _Site) -> None:
    with pytest.raises(InputError, match=r"nothing\.jsonl' does not exist: its server has no"):
        list_shards([f"{site.url}/nothing.jsonl"])
    assert open_store("http://").names("") == ()


def test_empty_file_behind_http_is_empty(site: _Site) -> None:
    assert open_file(f"{site.url}/empty.jsonl").read() == b""


def test_server_busy_for_a_moment_is_asked_again(site: _Site) -> None:
    file = open_file(f"{site.url}/x.jsonl")
    site.refusals = 3
    assert file.read(10) == DATA[:10]
    site.refusals = 2
    assert open_store(site.url).stat("x.jsonl").size == len(DATA)


def test_server_busy_for_long_is_a_storage_error_and_not_a_missing_file(site: _Site) -> None:
    site.refusals = 100
    with pytest.raises(StorageError, match=r"x\.jsonl.*503") as caught:
        open_store(site.url).stat("x.jsonl")
    assert not isinstance(caught.value, FileMissing)


def test_file_that_the_server_does_not_have_is_missing(site: _Site) -> None:
    with pytest.raises(FileMissing, match="nothing"):
        open_store(site.url).stat("nothing.jsonl")
    assert open_store(site.url).kind("nothing.jsonl") is None


def test_nobody_listening_is_a_storage_error_and_not_a_missing_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failures, "PAUSES", (0, 0, 0))
    with pytest.raises(StorageError, match="127") as caught:
        open_store("http://127.0.0.1:9").stat("x.jsonl")
    assert not isinstance(caught.value, FileMissing)


def test_output_behind_http_is_refused(site: _Site) -> None:
    with pytest.raises(StorageError, match="cannot be created whole"):
        open_store(site.url).create("x", b"1")
