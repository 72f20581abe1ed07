"""Runtime: the package openvino, imported so that it tells nobody of its use."""

import functools
import importlib
import importlib.metadata
import importlib.util
import queue
import sys
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from labelmill.batch import Array
from labelmill.errors import ConfigError

_TELEMETRY = "openvino_telemetry"
_TOLD = 300  # characters of a failure
_TRIED = 64  # inputs and outputs of the trial of products in int8
_MOST_INPUT, _MOST_WEIGHT = 255, 127
# One thread at a time in OpenVINO's Python part: what it makes at its first call it guards with a
# lock of C++, and two threads waited there for ever, each for that or for Python's own. The
# computing is outside.
_PYTHON = threading.Lock()


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


@functools.cache
def precisions() -> tuple[str, ...]:
    """What this CPU computes in. Asked for another, OpenVINO says nothing and takes float32."""
    able: Any = openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("float32", "bfloat16") if "BF16" in able else ("float32",)


@functools.cache
def has_tiles() -> bool:
    """Whether this CPU computes products in bfloat16 by tiles, as AMX does; tried, with one."""
    if "bfloat16" not in precisions():
        return False
    ops: Any = openvino().opset13
    given = ops.parameter([_TRIED, _TRIED], np.float32)
    other = np.eye(_TRIED, dtype=np.float32)
    product = ops.matmul(given, other, transpose_a=False, transpose_b=False)
    settings = {"INFERENCE_PRECISION_HINT": "bf16"}
    model = openvino().Core().compile_model(openvino().Model([product], [given]), "CPU", settings)
    taken = [
        operation.get_rt_info()["primitiveType"].value
        for operation in model.get_runtime_model().get_ops()
        if "primitiveType" in operation.get_rt_info()
    ]
    return any("amx" in name for name in taken)


@functools.cache
def saturates() -> bool:
    """Whether this CPU's products in int8 may saturate.

    Without VNNI x86 adds pairs of them in 16 bits, which 255 * 127 * 2 does not fit into; OpenVINO
    takes these instructions without a word. So it is tried: all inputs and weights at their most.
    """
    ops: Any = openvino().opset13
    given = ops.parameter([-1, _TRIED], np.float32)
    low, high = np.float32(0), np.float32(_MOST_INPUT)
    inputs = ops.fake_quantize(given, low, high, low, high, 256)
    weights = ops.constant(np.full((_TRIED, _TRIED), _MOST_WEIGHT, np.int8))
    scaled = ops.multiply(ops.convert(weights, np.float32), np.ones((_TRIED, 1), np.float32))
    product = ops.matmul(inputs, scaled, transpose_a=False, transpose_b=True)
    product.output(0).get_tensor().set_names({"product"})
    given.output(0).get_tensor().set_names({"given"})
    run = Run(openvino().Model([product], [given]), "float32", streams=1)
    found = run({"given": np.full((1, _TRIED), _MOST_INPUT, np.float32)})["product"]
    return bool(found.min() < 0.9 * _TRIED * _MOST_INPUT * _MOST_WEIGHT)


def reason(error: BaseException) -> str:
    """What OpenVINO says of a failure, in one line: the end, as its own places come first."""
    told = " ".join(str(error).split())
    return told if len(told) <= _TOLD else f"... {told[-_TOLD:]}"


class Run:
    """A graph: inputs to outputs by name, [batch, ...] each; called by as many threads as streams.

    A stream computes one call at a time, on one core. The streams share the graph's weights.
    """

    def __init__(self, graph: Any, precision: str, streams: int) -> None:
        """`graph` is an openvino.Model or the path of one; raises RuntimeError.

        Streams are not pinned: each of several replicas on a machine would take the same cores.
        """
        self._graph = graph
        self._streams = streams
        self._settings = {
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
            "NUM_STREAMS": str(streams),
            "INFERENCE_NUM_THREADS": streams,
            "ENABLE_CPU_PINNING": False,
        }
        self._lock = threading.Lock()
        self._idle: queue.SimpleQueue[Any] | None = self._compiled()

    def __call__(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Raises RuntimeError, after which it can be called again."""
        idle = self._requests()
        request = idle.get()
        try:
            found = _outputs(request, inputs)
        except BaseException:
            # What failed halfway keeps shapes of that call in its nodes: all is made anew.
            self._idle = None
            raise
        idle.put(request)
        return found

    def _requests(self) -> queue.SimpleQueue[Any]:
        with self._lock:
            if self._idle is None:
                self._idle = self._compiled()
            return self._idle

    def _compiled(self) -> queue.SimpleQueue[Any]:
        """A request a stream."""
        model = openvino().Core().compile_model(self._graph, "CPU", self._settings)
        requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self._streams):
            requests.put(model.create_infer_request())
        return requests


def _outputs(request: Any, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
    rows = len(next(iter(inputs.values())))
    with _PYTHON:
        names = [port.get_any_name() for port in request.model_inputs]
        # A tokenizer may know nothing of token types; then all are 0, as models take it.
        given = {
            name: inputs[name] if name in inputs else np.zeros_like(inputs["input_ids"])
            for name in names
        }
        # Not `infer`: without memory it raises nothing, and the outputs are those of the last call.
        request.start_async(given, share_inputs=True)
    request.wait()
    with _PYTHON:
        outputs = [port.get_any_name() for port in request.model_outputs]
        # Copied, as they lie in the request's memory, and the next call has it.
        found = {name: np.array(request.get_tensor(name).data) for name in outputs}
    for name, values in found.items():
        if len(values) != rows:
            raise RuntimeError(f"{name} has shape {values.shape} for inputs of {rows} rows")
    return found
