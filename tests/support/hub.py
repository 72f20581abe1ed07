"""A Hugging Face Hub of one dataset on a free loopback port, as far as reading files needs it."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

REPO = "owner/name"
SHA = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def hub(files: Mapping[str, bytes], revisions: tuple[str, ...] = ("main",)) -> Iterator[str]:
    """The address of a server that has the files in dataset `REPO`, at each of the revisions."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.files, server.revisions = files, (*revisions, SHA)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    files: Mapping[str, bytes]
    revisions: tuple[str, ...]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer(b"")

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("content-length", 0))))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def _answer(self, body: bytes) -> None:
        path = urlsplit(self.path).path
        if path == f"/api/datasets/{REPO}":
            self._revision("", body)
            return
        for head, answer in (
            (f"/api/datasets/{REPO}/revision/", self._revision),
            (f"/api/datasets/{REPO}/tree/", self._tree),
            (f"/api/datasets/{REPO}/paths-info/", self._paths),
            (f"/datasets/{REPO}/resolve/", self._content),
        ):
            if path.startswith(head):
                revision, _, rest = path.removeprefix(head).partition("/")
                if unquote(revision) in self.server.revisions:
                    answer(unquote(rest), body)
                else:
                    self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                return
        self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _revision(self, _: str, __: bytes) -> None:
        self._json({"id": REPO, "sha": SHA, "private": False, "tags": [], "downloads": 0})

    def _tree(self, folder: str, _: bytes) -> None:
        top = f"{folder}/" if folder else ""
        query = parse_qs(urlsplit(self.path).query)
        deep = query.get("recursive", [""])[0].lower() == "true"
        found: dict[str, Any] = {}
        for name in sorted(self.server.files):
            if name.startswith(top):
                parts = name.removeprefix(top).split("/")
                for size in range(1, len(parts) if deep else min(2, len(parts))):
                    path = top + "/".join(parts[:size])
                    found[path] = _folder(path)
                if deep or len(parts) == 1:
                    found[name] = self._file(name)
        self._json(list(found.values()))

    def _paths(self, _: str, body: bytes) -> None:
        found = []
        for path in _asked(body):
            if path in self.server.files:
                found.append(self._file(path))
            elif any(name.startswith(f"{path}/") for name in self.server.files):
                found.append(_folder(path))
        self._json(found)

    def _content(self, path: str, _: bytes) -> None:
        data, asked = self.server.files.get(path), self.headers["range"]
        if data is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": SHA})
            return
        if asked is None:
            known = {"ETag": f'"{sha1(data).hexdigest()}"', "X-Repo-Commit": SHA}
            self._send(200, data, known)
            return
        first, last = map(int, asked.removeprefix("bytes=").split("-"))
        piece = data[first : last + 1]
        place = f"bytes {first}-{first + len(piece) - 1}/{len(data)}"
        self._send(206, piece, {"Content-Range": place})

    def _file(self, name: str) -> dict[str, Any]:
        data = self.server.files[name]
        return {"type": "file", "path": name, "size": len(data), "oid": sha1(data).hexdigest()}

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _folder(path: str) -> dict[str, Any]:
    return {"type": "directory", "path": path, "oid": "d", "size": 0}


def _asked(body: bytes) -> list[str]:
    try:
        paths = json.loads(body)["paths"]
    except ValueError:
        return parse_qs(body.decode())["paths"]
    return [paths] if isinstance(paths, str) else list(paths)
