"""A Ray cluster of real processes on this machine, with token authentication: one family a node.

Nodes are started by `ray start` and end by SIGKILL of their own families; nothing is found by name,
and `ray stop` is never called, because it ends every Ray of the machine.
"""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support import family

_RAY = str(Path(sys.executable).with_name("ray"))
_WORKER_PORTS = range(10002, 20000)  # Ray refuses to listen there
_LIMIT = 240.0  # seconds; a busy machine is slow to start Ray


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node: the process that `ray start --block` is, and everything below it."""

    process: psutil.Process

    def replicas(self) -> set[int]:
        """The processes that are replicas of a job; Ray titles a process after its actor."""
        return self.named("_Predict")

    def named(self, actor: str) -> set[int]:
        """The processes that are actors of this class."""
        return {each.pid for each in family.members(self.process) if actor in _title(each)}

    def kill(self) -> None:
        """As when the machine loses power."""
        known = family.members(self.process)
        family.kill(self.process)
        family.wait_gone(known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A `ray job submit` that follows its job."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def until(self, condition: Callable[[], object], what: str, *, every: float = 0.2) -> None:
        """Wait for it while the job runs; raises AssertionError with the log where it has ended."""

        def met() -> bool:
            assert self.process.poll() is None, f"ended before {what}: {self.told()}"
            return bool(condition())

        until(met, what, every=every)

    def wait(self) -> int:
        """Its exit code."""
        return self.process.wait(timeout=_LIMIT)

    def told(self) -> str:
        """What it has printed so far, the job's own log included."""
        return self.log.read_text("utf-8")


class Cluster:
    """A head and the nodes that joined it, each with one core. All its files are in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._nodes: list[Node] = []
        self._submissions: list[Submission] = []
        self._token = directory / "token"
        self._token.write_text(secrets.token_hex(32), encoding="utf-8")
        self._gcs, dashboard, client = free_ports(3)
        self.address = f"http://127.0.0.1:{dashboard}"
        self.head = self._start(
            "--head",
            f"--port={self._gcs}",
            f"--dashboard-port={dashboard}",
            f"--ray-client-server-port={client}",
        )
        until(self._takes_jobs, "the head takes jobs")

    def join(self) -> Node:
        """One more node; it takes work when this returns."""
        before = self._alive()
        node = self._start(f"--address=127.0.0.1:{self._gcs}")
        until(lambda: self._alive() > before, "the node joins")
        return node

    def submit(self, *arguments: str, token: str | None = None) -> Submission:
        """`ray job submit` with these arguments, by default with the cluster's own token."""
        log = self._directory / f"submission-{len(self._submissions)}.log"
        command = [_RAY, "job", "submit", "--address", self.address, *arguments]
        process = self._popen(command, log, self._environment(token))
        submission = Submission(process=process, log=log)
        self._submissions.append(submission)
        return submission

    def drivers(self) -> list[int]:
        """The processes of the jobs that run."""
        jobs = self.ask("/api/jobs/") or []
        running = [job for job in jobs if job["status"] == "RUNNING" and job["driver_info"]]
        return [int(job["driver_info"]["pid"]) for job in running]

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What the head answers to the token; None where it does not, or not yet."""
        request = urllib.request.Request(
            self.address + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token.read_text('utf-8')}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return None

    def close(self) -> None:
        """Kill every node and every client that is left."""
        for node in self._nodes:
            node.kill()
        for submission in self._submissions:
            submission.process.kill()
            submission.process.wait()

    def _start(self, *arguments: str) -> Node:
        agent, metrics = free_ports(2)
        # Nodes of one machine that share a directory delete each other's copies of working_dir.
        home = self._directory / str(len(self._nodes))
        command = [
            *(_RAY, "start", "--block", "--num-cpus=1", "--object-store-memory=150000000"),
            *("--include-log-monitor=false", f"--dashboard-agent-listen-port={agent}"),
            *(f"--metrics-export-port={metrics}", f"--temp-dir={home}", *arguments),
        ]
        log = self._directory / f"node-{len(self._nodes)}.log"
        # Nor do they share the disk on which a worker lays down what is on its way.
        own = home.with_name(f"{home.name}t")
        own.mkdir()
        process = self._popen(command, log, self._environment(None) | {"TMPDIR": str(own)})
        node = Node(process=psutil.Process(process.pid))
        self._nodes.append(node)
        return node

    def _popen(
        self, command: list[str], log: Path, environment: dict[str, str]
    ) -> "subprocess.Popen[bytes]":
        with log.open("wb") as told:
            return subprocess.Popen(command, env=environment, stdout=told, stderr=subprocess.STDOUT)

    def _environment(self, token: str | None) -> dict[str, str]:
        """Nothing of Ray's is inherited; `python` is this one."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        bearer = {"RAY_AUTH_TOKEN_PATH": str(self._token)}
        return inherited | {
            **(bearer if token is None else {"RAY_AUTH_TOKEN": token}),
            "HF_HUB_OFFLINE": "1",
            "HF_MODULES_CACHE": str(self._directory / "modules"),
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "RAY_AUTH_MODE": "disabled" if token == "" else "token",
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
            "RAY_JOB_STOP_WAIT_TIME_S": "60",
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    def _takes_jobs(self) -> bool:
        """The head answers long before it has an agent that starts jobs."""
        return self.ask("/api/jobs/", {"entrypoint": "true"}) is not None

    def _alive(self) -> int:
        answer = self.ask("/api/v0/nodes")
        nodes = answer["data"]["result"]["result"] if answer else []
        return sum(node["state"] == "ALIVE" for node in nodes)


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """A head for the time of a test; in a directory of short name, for sockets lie in it."""
    with (
        tempfile.TemporaryDirectory(prefix="lm", dir="/tmp", ignore_cleanup_errors=True) as path,
        contextlib.closing(Cluster(Path(path))) as started,
    ):
        yield started


def until(condition: Callable[[], object], what: str, *, every: float = 0.2) -> None:
    """Wait for it; raises AssertionError where it takes too long."""
    end = time.monotonic() + _LIMIT
    while not condition():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(every)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    with contextlib.ExitStack() as stack:
        ports: list[int] = []
        while len(ports) < count:
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            if port not in _WORKER_PORTS:
                ports.append(port)
        return ports


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""
