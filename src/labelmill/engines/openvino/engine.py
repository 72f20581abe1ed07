"""The engine: microbatches in, one readout of the graph out; and what becomes of its failures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from labelmill.batch import Array, Microbatch, Outputs
from labelmill.checkpoints import Checkpoint
from labelmill.engines.openvino import runtime
from labelmill.engines.openvino.reading import Reader, reader
from labelmill.engines.openvino.runtime import reason
from labelmill.errors import EngineError, OutOfMemory
from labelmill.readouts import Readout

_BUDGET = 1024
_LAUNCH = 32

# How OpenVINO and oneDNN below it say that there is no memory.
_NO_MEMORY = (
    "bad_alloc",
    "Cannot allocate memory",
    "can't allocate memory",
    "could not create a memory object",
    "out of memory",
)


class OpenVINOEngine:
    """See Engine."""

    name = "openvino"
    device = "cpu"
    default_budget = _BUDGET
    launch = _LAUNCH
    packs = False

    def __init__(
        self,
        graph: Path,
        readout: Readout,
        checkpoint: Checkpoint,
        *,
        precision: str,
        threads: int,
    ) -> None:
        self.precision = precision
        try:
            compiled = runtime.compiled(graph, precision, threads)
        except RuntimeError as error:
            raise EngineError(
                f"OpenVINO cannot read the converted model {str(graph)!r}: {reason(error)}; remove "
                "its directory, and it is converted again"
            ) from error
        self._run: _Run | None = _Run(compiled)
        self._read: Reader | None = reader(readout, self._run, checkpoint)

    def forward(self, microbatch: Microbatch) -> Outputs:
        """See Engine."""
        assert self._read is not None, "the engine is closed"  # noqa: S101 - for mypy
        try:
            return self._read(microbatch.inputs, microbatch.lengths)
        except (MemoryError, RuntimeError) as error:
            if not _lacks_memory(error):
                raise EngineError(f"OpenVINO failed on a microbatch: {reason(error)}") from error
            shape = microbatch.shape
            message = f"no memory on 'cpu' for a microbatch of {shape!r}: {reason(error)}"
        # Out of the handler, else the error's traceback still holds the arrays.
        raise OutOfMemory(message)

    def close(self) -> None:
        """See Engine."""
        self._read = self._run = None


class _Run:
    """Inputs to outputs, both by name; outputs lie in the graph's memory until the next call."""

    def __init__(self, compiled: Any) -> None:
        self._request = compiled.create_infer_request()
        self._names = [port.get_any_name() for port in compiled.inputs]
        self._outputs = [port.get_any_name() for port in compiled.outputs]

    def __call__(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        shape = inputs["input_ids"].shape
        # A tokenizer may know nothing of token types; then all are 0, as models take it.
        given = {
            name: inputs[name] if name in inputs else np.zeros(shape, np.int64)
            for name in self._names
        }
        found = self._request.infer(given, share_inputs=True, share_outputs=True)
        return {name: found[name] for name in self._outputs}


def _lacks_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in _NO_MEMORY)
