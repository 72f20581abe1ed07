"""The engine: microbatches in, one readout of the graph out; and what becomes of its failures."""

from pathlib import Path

from labelmill.batch import Microbatch, Outputs, Padding
from labelmill.checkpoints import Checkpoint
from labelmill.engines.openvino import runtime
from labelmill.engines.openvino.reading import Reader, reader
from labelmill.errors import EngineError, OutOfMemory
from labelmill.readouts import Readout

# Tokens. From 512 to 4096 the speed of MiniLM in bfloat16 is the same within 2% (one thread, web
# texts), so it takes the memory of few.
_BUDGET = 1024
_LAUNCH = 64  # of a mean; sentences went 3% faster than with 32, web texts as fast
# Where a CPU computes by tiles, attention over lengths between takes up to half as long again:
# 12% of all for MiniLM in bfloat16 on web texts. Elsewhere nothing is won.
_TILE = 16

# How OpenVINO and oneDNN below it say that there is no memory.
_NO_MEMORY = (
    "bad_alloc",
    "Cannot allocate memory",
    "Failed to allocate",
    "can't alloc",
    "could not create a memory object",
    "out of memory",
)


class OpenVINOEngine:
    """See Engine."""

    name = "openvino"
    device = "cpu"
    default_budget = _BUDGET
    packs = False

    def __init__(
        self,
        graph: Path,
        readout: Readout,
        checkpoint: Checkpoint,
        *,
        precision: str,
        threads: int,
        rest: str | None = None,
    ) -> None:
        """`rest` is the precision of what is not in `precision`, where the graph is in int8."""
        self.precision = precision
        self.streams = threads
        rest = rest or precision
        tiles = rest == "bfloat16" and runtime.has_tiles()
        self.padding = Padding(launch=_LAUNCH, multiple_of=_TILE if tiles else 1)
        try:
            run = runtime.Run(graph, rest, threads)
        except RuntimeError as error:
            raise EngineError(
                f"OpenVINO cannot read the converted model {str(graph)!r}: "
                f"{runtime.reason(error)}; remove its directory, and it is converted again"
            ) from error
        self._read: Reader | None = reader(readout, run, checkpoint)

    def forward(self, microbatch: Microbatch) -> Outputs:
        """See Engine."""
        assert self._read is not None, "the engine is closed"  # noqa: S101 - for mypy
        try:
            return self._read(microbatch.inputs, microbatch.lengths)
        except (MemoryError, RuntimeError) as error:
            if not _lacks_memory(error):
                told = f"OpenVINO failed on a microbatch: {runtime.reason(error)}"
                raise EngineError(told) from error
            shape = microbatch.shape
            message = f"no memory on 'cpu' for a microbatch of {shape!r}: {runtime.reason(error)}"
        # Out of the handler, else the error's traceback still holds the arrays.
        raise OutOfMemory(message)

    def close(self) -> None:
        """See Engine."""
        self._read = None


def _lacks_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in _NO_MEMORY)
