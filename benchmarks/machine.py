"""Machine: what was measured on, and with which versions."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import psutil

_PACKAGES = (
    "labelmill",
    "torch",
    "openvino",
    "nncf",
    "transformers",
    "tokenizers",
    "ray",
)
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "avx512_vnni")


def described() -> dict[str, Any]:
    """The CPU, its cores and memory, the commit of this project, versions of its environment."""
    return {
        "cpu": _cpu().get("model name", platform.processor()),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": psutil.virtual_memory().total,
        "flags": flags(),
        "python": platform.python_version(),
        "commit": _commit(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def flags() -> list[str]:
    """What the CPU has, of what decides how fast a model is."""
    return [flag for flag in _FLAGS if flag in _cpu().get("flags", "").split()]


def _cpu() -> dict[str, str]:
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(line.split(":", 1) for line in cpu.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in fields.items()}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _commit() -> str:
    """Of the checkout that this file lies in; "unknown" outside of one."""
    argv = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(
            argv, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
