"""Runtime: the package openvino, imported so that it tells nobody of its use."""

import importlib
import importlib.metadata
import importlib.util
import sys
from typing import Any

from labelmill.errors import ConfigError

_TELEMETRY = "openvino_telemetry"
_TOLD = 300  # characters of a failure


def installed() -> bool:
    """Whether OpenVINO is there to be imported."""
    return importlib.util.find_spec("openvino") is not None


def require() -> None:
    """Raise ConfigError where OpenVINO is not installed."""
    if not installed():
        raise ConfigError(
            "model.engine: 'openvino' is not installed; pip install 'labelmill[openvino]' on every "
            "machine that predicts, or set model.engine to 'pytorch'"
        )


def openvino() -> Any:
    """The package.

    It would report its import and every conversion to its maker over the network, unless its
    telemetry cannot be imported.
    """
    if _TELEMETRY not in sys.modules:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    return importlib.import_module("openvino")


def versions() -> str:
    """Of everything that decides what a graph is."""
    packages = ("openvino", "torch", "transformers")
    return " ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)


def reason(error: BaseException) -> str:
    """What OpenVINO says of a failure, in one line: the end, as its own places come first."""
    told = " ".join(str(error).split())
    return told if len(told) <= _TOLD else f"... {told[-_TOLD:]}"


def compiled(graph: Any, precision: str, threads: int) -> Any:
    """The graph (an openvino.Model, or the path of one) ready to run in one stream.

    Threads are not pinned: each of several replicas on a machine would take the same cores.
    """
    hint = {"float32": "f32", "bfloat16": "bf16"}[precision]
    settings = {
        "INFERENCE_PRECISION_HINT": hint,
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
    }
    return openvino().Core().compile_model(graph, "CPU", settings)
