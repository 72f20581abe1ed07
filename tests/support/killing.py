"""Death at a point of the protocol: the n-th time that a file of one kind is at one moment.

Nothing in the product knows of it. `install` wraps what creates and deletes files on a local disk,
in this process alone; Ray calls it in its workers (`worker_process_setup_hook`), Python itself
where it finds a `sitecustomize`.
"""

import json
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from labelmill.ledger import names
from labelmill.storage import local
from tests.support import family

VARIABLE = "LABELMILL_TEST_DEATH"

_ROOT = Path(__file__).parents[2]

# Of a file that is created: nothing is there; half of the temporary is; all of it; the file is, but
# its directory is not synced. And of one that is deleted.
CREATED = ("before", "half", "written", "linked")
DELETED = ("undeleted", "deleted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """Where it strikes, and whom."""

    kind: str  # "part", or the directory of the ledger that the file is in
    moment: str  # of CREATED or DELETED
    number: int = 1  # times; counted over all processes that share `claims`
    claims: str  # a directory
    everyone: bool = False  # the leader of the session and all below it; else this process alone

    def on_ray(self) -> dict[str, str]:
        """What brings it into the workers of a Ray job that is started with it."""
        hook = {"runtime_env": {"worker_process_setup_hook": f"{__name__}.install"}}
        return self._environment() | {"RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(hook)}

    def everywhere(self, directory: Path) -> dict[str, str]:
        """What brings it into every Python that is started with it; the directory holds the way."""
        start = f"from {__name__} import install\ninstall()\n"
        (directory / "sitecustomize.py").write_text(start, encoding="utf-8")
        return self._environment(str(directory))

    def _environment(self, *paths: str) -> dict[str, str]:
        found = [*paths, str(_ROOT), os.environ.get("PYTHONPATH", "")]
        return {VARIABLE: json.dumps(asdict(self)), "PYTHONPATH": os.pathsep.join(found)}


def install() -> None:
    """Wait for the death that the environment tells of; nothing happens where it tells of none."""
    if VARIABLE in os.environ:
        wait_for(Death(**json.loads(os.environ[VARIABLE])))


def wait_for(death: Death) -> None:
    """Die there, from now on."""
    reaper = _Reaper(death)
    _wrap_create(reaper)
    _wrap_write(reaper)
    _wrap_link(reaper)
    _wrap_delete(reaper)


class _Reaper:
    def __init__(self, death: Death) -> None:
        self._death = death
        self._here = threading.local()  # the path that this thread creates

    def enter(self, path: str) -> None:
        self._here.path = path

    def at(self, moment: str, path: str | None = None) -> None:
        """Die if this is the moment."""
        if self.due(moment, path):
            self.strike()

    def due(self, moment: str, path: str | None = None) -> bool:
        wanted = (self._death.kind, self._death.moment)
        return (_kind(path or self._here.path), moment) == wanted and self._claim()

    def strike(self) -> None:
        if self._death.everyone:
            family.kill(psutil.Process(os.getsid(0)))
        os.kill(os.getpid(), signal.SIGKILL)

    def _claim(self) -> bool:
        """Whether this is the time that was told."""
        for number in range(1, self._death.number + 1):
            try:
                Path(self._death.claims, str(number)).touch(exist_ok=False)
            except FileExistsError:
                continue
            return number == self._death.number
        return False


def _kind(path: str) -> str:
    return path.split("/")[1] if names.inside(path) else "part"


def _wrap_create(reaper: _Reaper) -> None:
    real = local.LocalStore.create

    def create(store: local.LocalStore, path: str, data: bytes | memoryview) -> bool:
        reaper.enter(path)
        reaper.at("before")
        return real(store, path, data)

    _put(local.LocalStore, "create", create)


def _wrap_write(reaper: _Reaper) -> None:
    real = local._write

    def write(place: Path, data: bytes | memoryview) -> None:
        if reaper.due("half"):
            real(place, data[: len(data) // 2])
            reaper.strike()
        real(place, data)

    _put(local, "_write", write)


def _wrap_link(reaper: _Reaper) -> None:
    real = local._link

    def link(temporary: Path, place: Path) -> bool:
        reaper.at("written")
        won = real(temporary, place)
        reaper.at("linked")
        return won

    _put(local, "_link", link)


def _wrap_delete(reaper: _Reaper) -> None:
    real = local.LocalStore.delete

    def delete(store: local.LocalStore, path: str) -> None:
        reaper.at("undeleted", path)
        real(store, path)
        reaper.at("deleted", path)

    _put(local.LocalStore, "delete", delete)


def _put(owner: Any, name: str, function: Callable[..., Any]) -> None:
    setattr(owner, name, function)
