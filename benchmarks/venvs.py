"""Venvs: the environments of the peers, one for each folder of benchmarks/peers.

Made on first use under .venv-bench/, from a list that pins everything, and made anew when the list
has changed. What cannot be installed is an error that says why; nothing stands in for it.
"""

import shutil
import subprocess
import sys
from pathlib import Path

_HERE = Path(__file__).parent
_HOME = _HERE.parent / ".venv-bench"
_LISTS = _HERE / "peers"
_SECONDS = 1800  # an installation may take
_STAMP = "installed.txt"


class NotInstallableError(RuntimeError):
    """An environment could not be made."""


def python_of(name: str | None) -> str:
    """The Python of an environment, made now where it is missing; None: this one's own.

    Raises NotInstallableError with the end of what pip said.
    """
    if name is None:
        return sys.executable
    wanted = (_LISTS / name / "requirements.txt").read_text("utf-8")
    place = _HOME / name
    python = place / "bin" / "python"
    stamp = place / _STAMP
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        print(f"installing the environment {name!r} of benchmarks/peers", file=sys.stderr)
        shutil.rmtree(place, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(place)], name)
        listed = str(_LISTS / name / "requirements.txt")
        # The list is whole, see its own head; so pip has nothing to resolve.
        _run([str(python), "-m", "pip", "install", "-q", "--no-deps", "-r", listed], name)
        stamp.write_text(wanted, "utf-8")
    return str(python)


def _run(argv: list[str], name: str) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise NotInstallableError(f"{name}: no end after {_SECONDS} s of {argv[1:]}") from error
    if done.returncode:
        said = " ".join(done.stderr.split())[-400:]
        raise NotInstallableError(f"{name}: {said}")
