"""Jobs that are told to stop before a row is labelled: while Ray starts, and while planned."""

import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.support import process
from tests.support.models import tiny_classifier
from tests.support.process import Ended

pytestmark = pytest.mark.slow

_SOON = 60.0  # seconds; a loaded machine takes its time, a job that hangs takes for ever
_SIGNALS = [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.faults)]


class Source:
    """A web server that lets whoever asks for a shard wait until it is shut."""

    def __init__(self) -> None:
        self.asked, shut = threading.Event(), threading.Event()
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                asked.set()
                shut.wait()

            def do_GET(self) -> None:
                self.do_HEAD()

        self._shut = shut
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/a.jsonl"

    def close(self) -> None:
        """Let all go."""
        self._shut.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def waiting() -> Iterator[Source]:
    source = Source()
    yield source
    source.close()


@pytest.fixture
def job(tmp_path: Path, waiting: Source) -> str:
    settings = {
        "task": "text-classification",
        "model": {"path": tiny_classifier(str(tmp_path / "model"))},
        "source": {"path": waiting.url},
        "output": {"path": str(tmp_path / "out")},
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(settings))
    return str(tmp_path / "job.yaml")


def require_stopped(ended: Ended) -> None:
    assert (ended.code, ended.out) == (3, "")
    assert "stopped; running the same command again goes on" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("number", _SIGNALS)
def test_signal_while_ray_starts_ends_with_3(job: str, number: signal.Signals) -> None:
    with process.command("label", job, "--set", "resources.runner=ray") as running:
        running.wait_until(lambda: bool(running.named("gcs_server")))
        running.signal(number)
        require_stopped(running.end(_SOON))


@pytest.mark.parametrize("number", _SIGNALS)
@pytest.mark.parametrize("runner", [pytest.param("ray", marks=pytest.mark.faults), "local"])
def test_signal_while_the_plan_is_made_ends_with_3(
    job: str, waiting: Source, number: signal.Signals, runner: str
) -> None:
    with process.command("label", job, "--set", f"resources.runner={runner}") as running:
        running.wait_until(waiting.asked.is_set)
        running.signal(number)
        require_stopped(running.end(_SOON))
