"""A real S3 server of one test session on a free loopback port, and buckets on it.

`s3_bucket` sets the environment of this process; hand its `env` to child processes and Ray workers.
moto and boto3 take a second to import, so only a test that asks for a bucket does it.
"""

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
}
_FOREIGN = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_CONFIG_FILE")


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Server:
    """Where the server listens, and every request it has answered: method, path, status."""

    endpoint: str
    requests: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def env(self) -> Mapping[str, str]:
        """What a process needs in its environment for `s3://` to mean this server."""
        return {**CREDENTIALS, "AWS_ENDPOINT_URL": self.endpoint}

    def client(self) -> Any:
        """A boto3 client of this server."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Bucket:
    """An empty bucket of one test."""

    url: str  # s3://name
    name: str
    server: S3Server

    @property
    def env(self) -> Mapping[str, str]:
        """See `S3Server.env`."""
        return self.server.env

    def put(self, key: str, data: bytes) -> None:
        """Write an object behind labelmill's back."""
        self.server.client().put_object(Bucket=self.name, Key=key, Body=data)

    def read(self, key: str) -> bytes:
        """The bytes of an object."""
        return bytes(self.server.client().get_object(Bucket=self.name, Key=key)["Body"].read())

    def keys(self) -> list[str]:
        """The names of all objects, sorted."""
        found = self.server.client().list_objects_v2(Bucket=self.name)
        return sorted(item["Key"] for item in found.get("Contents", []))


def _one_at_a_time(application: Any, requests: list[tuple[str, str, str]]) -> Callable[..., Any]:
    """Moto looks and puts in two steps; S3 does not."""
    turn = threading.Lock()

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        def started(status: str, *rest: Any) -> Any:
            place = environ["PATH_INFO"]
            requests.append((environ["REQUEST_METHOD"], place, status.partition(" ")[0]))
            return start_response(status, *rest)

        with turn:
            return list(application(environ, started))

    return answer


def _server(requests: list[tuple[str, str, str]]) -> Any:
    from moto.moto_server import werkzeug_app as moto
    from werkzeug.serving import make_server

    class Quiet(moto.MotoRequestHandler):
        def log(self, *args: Any) -> None:
            pass

    application = moto.DomainDispatcherApplication(moto.create_backend_app)
    return make_server(
        "127.0.0.1",
        0,
        _one_at_a_time(application, requests),
        threaded=True,
        request_handler=Quiet,
    )


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    requests: list[tuple[str, str, str]] = []
    server = _server(requests)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield S3Server(endpoint=f"http://127.0.0.1:{server.server_port}", requests=requests)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def s3_bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Bucket:
    from s3fs import S3FileSystem

    for name in _FOREIGN:
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_server.env.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()  # fsspec keeps filesystems whatever the environment says
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    s3_server.client().create_bucket(Bucket=name)
    return S3Bucket(url=f"s3://{name}", name=name, server=s3_server)
