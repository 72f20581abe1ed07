"""Session: the Ray cluster that a job runs on, its own or one that is there, and what it has.

A job that is submitted to a cluster, runs on one of its nodes, or where RAY_ADDRESS points to one,
joins it and leaves it running; otherwise Ray is started on this machine for the time of the job.
Ray's own chatter is held back unless asked for.
"""

import contextlib
import logging
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
import ray
from ray.util.annotations import RayDeprecationWarning

from labelmill.errors import ClusterError, ConfigError, LabelmillError
from labelmill.pipeline.cluster import Cluster

Answer = TypeVar("Answer")
_MONITOR = ("autoscaler", "_private", "monitor.py")  # end of the path of its program


@contextmanager
def session(*, verbose: bool) -> Iterator[Cluster]:
    """Ray for the time of a job; what this call has started is shut down at the end.

    Raises ConfigError where there is a cluster that cannot be joined, ClusterError where none can
    be started.
    """
    if not verbose:
        _hush()
    with contextlib.nullcontext() if verbose else _withheld(), _own_sigterm():
        _join_or_start(verbose=verbose)
    # Ray prints on stdout that a worker has died, also while it shuts down; stdout is for results.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            yield _cluster()
        finally:
            _end()


def on_replica(question: Callable[[], Answer], *, gpus: float) -> Answer:
    """A question answered on a node that a replica would run on; raises what it raises there."""
    remote: Any = ray.remote(num_cpus=replica_cpus(gpus), num_gpus=gpus, max_retries=3)(_ask)
    try:
        answer: Answer = ray.get(remote.remote(question))
    except ray.exceptions.RayTaskError as error:
        # Ray's own wrapping has a whole traceback for its message.
        if isinstance(error.cause, LabelmillError):
            raise error.cause from error
        raise
    return answer


def replica_cpus(gpus: float) -> float:
    """Logical CPUs of a replica: next to none, yet enough to keep it off nodes that have none."""
    return 0 if gpus else 0.01


def _join_or_start(*, verbose: bool) -> None:
    address = os.environ.get("RAY_ADDRESS", "")
    if "://" in address:
        raise ConfigError(
            f"RAY_ADDRESS is {address!r}, expected host:port of the cluster's head as in "
            "'10.0.0.1:6379'; set it so on a node of the cluster, or send the job with "
            "'ray job submit'"
        )
    try:
        ray.init(
            include_dashboard=False,
            log_to_driver=verbose,
            logging_level=logging.INFO if verbose else logging.ERROR,
        )
    except (ConnectionError, ray.exceptions.AuthenticationError) as error:
        raise ConfigError(
            f"the Ray cluster cannot be joined (RAY_ADDRESS is {address!r}): {error}; see that it "
            "runs, and that this machine has its token (RAY_AUTH_MODE=token, RAY_AUTH_TOKEN_PATH)"
        ) from error
    except Exception as error:  # a bare one where the machine was too busy to start Ray in time
        if address:
            raise
        told = str(error).partition("\n")[0]
        raise ClusterError(
            f"Ray did not start on this machine: {told}; where the machine is busy or short of "
            "memory, run the same command again; what Ray's processes said is in "
            "'ray/session_latest/logs' below the directory for temporary files, or in RAY_TMPDIR"
        ) from error


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """The caller's handler of SIGTERM stands again at the end.

    `ray.init` puts its own in place, which raises SystemExit(15): no message, and no exit code of
    ours. What it raises meanwhile is KeyboardInterrupt.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _end() -> None:
    """End what was started here, or leave the cluster.

    Ray's monitor of the autoscaler, asked to end, tells the head first, which has ended before it;
    Ray waits a second and kills it. A cluster of one machine has nothing to scale.
    """
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if any(Path(part).parts[-3:] == _MONITOR for part in child.cmdline()):
                child.kill()
    ray.shutdown()


def _ask(question: Callable[[], Answer]) -> Answer:
    return question()


def _cluster() -> Cluster:
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # ray's
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # ray's
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    return Cluster(
        nodes=len(alive),
        cores=min((int(one["CPU"]) for one in alive if one.get("CPU", 0) >= 1), default=1),
        cpus=resources.get("CPU", 0.0),
        gpus=resources.get("GPU", 0.0),
    )


def _hush() -> None:
    """Ray's errors reach us as exceptions; its log files keep the rest."""
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    warnings.filterwarnings("ignore", category=RayDeprecationWarning)
    # Fewer splits than tokenizers is no mistake of anybody's.
    warnings.filterwarnings("ignore", message="The maximum number of concurrent tasks")
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def _withheld() -> Iterator[None]:
    """What is written to stderr meanwhile, by Ray's C++ parts too, is shown only on failure."""
    with tempfile.TemporaryFile() as held, os.fdopen(os.dup(2), "wb") as stderr:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            stderr.write(held.read())
            raise
        finally:
            os.dup2(stderr.fileno(), 2)
