"""The engine: microbatches in, one readout of the model out; and what becomes of its failures."""

import ctypes
import importlib
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from labelmill.batch import Array, Microbatch, Outputs, Padding, Ragged
from labelmill.checkpoints import Checkpoint
from labelmill.engines.pytorch.compiling import compile_layers
from labelmill.engines.pytorch.gelu import fuse_gelu
from labelmill.engines.pytorch.packed import PackedReader, filled, trial
from labelmill.engines.pytorch.packing import PackedModel, Packing, is_packable
from labelmill.engines.pytorch.reading import Model, Read, Reader, on_host
from labelmill.engines.pytorch.together import apart
from labelmill.engines.pytorch.transfer import Coming, Transfer
from labelmill.errors import EngineError, OutOfMemory
from labelmill.models.disentangled import without_gathers
from labelmill.models.precision import has_tiles
from labelmill.readouts import (
    Embedding,
    FrameTokens,
    Generation,
    ImageText,
    Logits,
    MaskedTokens,
    Readout,
    TokenLogits,
    Transcription,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_CPU_BUDGET = 1024  # tokens: with more, activations leave the cache and rows need more padding
_CPU_LAUNCH = 64  # of a mean: 6 ms for 6 layers of 384; a token takes 0.08 to 0.17 ms in bfloat16
_TILE = 16  # tokens; where a CPU computes by tiles, MiniLM on web texts is 8% faster with it
_CUDA_BUDGET = 32_768
# Without padding memory is small; of 32,768, 131,072 and 262,144 tokens an H100 did 7.3, 8.4 and
# 8.5 million/s with MiniLM; BERT-base is as fast from 16,384 on.
_CUDA_PACKED_BUDGET = 131_072
_AHEAD = 4  # microbatches that the host may be ahead of a CUDA device
_TOLERANCE = 0.05  # of the largest output, between packed and padded: half precision differs
# Tokens read and to be written; each step of writing reads all weights, so more rows pay longer:
# of 4, 16 and 64 rows a 135M Llama in bfloat16 wrote 170, 430 and 670 tokens/s on one core. Long
# texts that end by themselves leave few rows at the end: of 20, 40 and 128 rows of at most 400
# tokens a small Llama did 12, 17 and 32 rows/s.
_CPU_WRITING_BUDGET = 32_768
_COMPILED_WITH = 16_384  # tokens: sizes that what is compiled is made good for
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of mallopt

# How the libraries below torch say that there is no memory, besides torch.OutOfMemoryError.
_NO_MEMORY = (
    "can't allocate memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "could not create a memory object",
)

Floats = npt.NDArray[np.float32]

# The module that knows each; imported when it is asked for, as some import much.
_READERS: Mapping[type[Readout], str] = {
    Logits: "logits",
    TokenLogits: "logits",
    FrameTokens: "frame_tokens",
    MaskedTokens: "masked_tokens",
    Embedding: "embedding",
    ImageText: "image_text",
    Generation: "generation",
    Transcription: "transcription",
}


def reader(readout: Readout, model: Model, checkpoint: Checkpoint) -> Reader:
    """What reads the model out so; raises ConfigError or ModelError where it cannot be."""
    module = importlib.import_module(f"{__package__}.{_READERS[type(readout)]}")
    made: Reader = module.reader(readout, model, checkpoint)
    return apart(made, model.module)


class PyTorchEngine:
    """See Engine."""

    name = "pytorch"
    streams = 1

    def __init__(  # noqa: PLR0913
        self,
        module: "PreTrainedModel",
        readout: Readout,
        checkpoint: Checkpoint,
        *,
        precision: str,
        device: str,
        packing: Packing | None = None,
        compiled: bool = False,
    ) -> None:
        """`packing` None: padded, whatever the model is. `compiled`: its layers, by torch."""
        if device == "cpu":
            _keep_memory()
        self.precision = precision
        self.device = device
        self._dtype: torch.dtype = getattr(torch, precision)
        writes = isinstance(readout, Generation | Transcription)
        on_cpu = _CPU_WRITING_BUDGET if writes else _CPU_BUDGET
        self.default_budget = on_cpu if device == "cpu" else _CUDA_BUDGET
        reads_on_cpu = device == "cpu" and not writes
        self.padding = Padding(
            launch=_CPU_LAUNCH if reads_on_cpu else 0,
            multiple_of=_TILE if reads_on_cpu and precision == "bfloat16" and has_tiles() else 1,
        )
        module = _on(module, device)
        without_gathers(module)
        self._transfer = Transfer() if device == "cuda" else None
        self._coming: deque[Coming] = deque()
        self._packed: PackedReader | None = None
        with torch.inference_mode():
            self._read: Reader | None = reader(readout, Model(module, device), checkpoint)
            if packing is not None and is_packable(module, readout):
                if device == "cuda" and precision == "bfloat16":
                    fuse_gelu(module)
                model = PackedModel(module, device)
                self._packed = PackedReader(reader(readout, model, checkpoint), model, packing)
        if self._packed is not None and not self._agrees():
            self._packed = None
        self.packs = self._packed is not None
        if self.packs:
            self.default_budget = _CUDA_PACKED_BUDGET
        if compiled:
            self._compile(module)

    def forward(self, microbatch: Microbatch) -> Outputs:
        """See Engine."""
        try:
            return self._forward(microbatch)
        except (MemoryError, RuntimeError, ValueError, LookupError, AssertionError) as error:
            if not _lacks_memory(error):
                raise EngineError(f"{self.device!r} failed on a microbatch: {error}") from error
            message = (
                f"no memory on {self.device!r} for a microbatch of {microbatch.shape!r}: {error}"
            )
        # Out of the handler, else the error's traceback still holds the tensors.
        if self.device == "cuda":
            torch.cuda.empty_cache()
        raise OutOfMemory(message)

    def close(self) -> None:
        """See Engine."""
        self._read = self._packed = None
        self._coming.clear()
        if self.device == "cuda":
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def _forward(self, microbatch: Microbatch) -> Outputs:
        read = self._packed_read if microbatch.packed else self._padded_read
        if self._transfer is None:
            return {name: on_host(values) for name, values in read(microbatch).items()}
        coming = self._transfer.to_host(read(microbatch))
        self._coming.append(coming)
        if len(self._coming) > _AHEAD:
            self._coming.popleft().wait()
        return coming

    def _packed_read(self, microbatch: Microbatch) -> Read:
        if self._packed is None:
            raise AssertionError("a packed microbatch for an engine that does not pack")
        return self._packed(microbatch, self._moved)

    def _padded_read(self, microbatch: Microbatch) -> Read:
        if self._read is None:
            raise AssertionError("the engine is closed")
        inputs = {name: self._tensor(values) for name, values in microbatch.inputs.items()}
        return self._read(inputs, torch.from_numpy(microbatch.lengths))

    def _moved(self, values: Array) -> torch.Tensor:
        return (
            torch.from_numpy(values) if self._transfer is None else self._transfer.to_device(values)
        )

    def _tensor(self, values: Array) -> torch.Tensor:
        """On the device; numbers that are no integers in the engine's precision."""
        tensor = self._moved(values)
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor

    def _compile(self, module: Any) -> None:
        """At once, so that it is not the first rows that fail; memory may do for fewer of them."""
        if not self.packs:
            raise EngineError(
                "resources.compile: it was measured with models whose rows are packed, in half "
                f"precision, and this one ({module.config.model_type!r}, {self.precision}) is not; "
                "set it to false"
            )
        compile_layers(module)
        try:
            self._forward(filled(min(self.default_budget, _COMPILED_WITH)))
        except Exception as error:
            if _lacks_memory(error):
                return
            why = " ".join(str(error).partition("\n\n")[0].split())  # without torch's advice
            raise EngineError(
                f"resources.compile: torch cannot compile the model's layers here: {why}; set it "
                "to false"
            ) from error

    def _agrees(self) -> bool:
        """Whether packed and padded give the same; a model may have ways that we do not know."""
        padded, packed = (self._tried(batch) for batch in trial())
        if padded is None or packed is None:
            return False
        return all(
            bool((abs(packed[name] - wanted) <= _TOLERANCE * abs(wanted).max()).all())
            for name, wanted in padded.items()
        )

    def _tried(self, microbatch: Microbatch) -> Mapping[str, Floats] | None:
        try:
            outputs = self._forward(microbatch)
            return {name: _values(outputs[name]) for name in outputs}
        except Exception:  # noqa: BLE001 - a checkpoint's own code, or a kernel's compiler
            return None


def _values(output: Array | Ragged) -> Floats:
    return np.asarray(output.values if isinstance(output, Ragged) else output, np.float32)


def _keep_memory() -> None:
    """Have glibc keep what tensors free, in this process.

    Outside the main thread it returns the memory of large tensors and faults it in anew at every
    layer: a quarter of a million page faults for 600 texts, 4% of the time. See mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # absent outside glibc
        mallopt(_TRIM_THRESHOLD, 1 << 30)
        mallopt(_MMAP_THRESHOLD, 1 << 25)  # the most that it takes


def _on(model: Any, device: str) -> Any:
    if device == "cuda" and not torch.cuda.is_available():
        raise EngineError("the job runs on 'cuda', but torch finds no CUDA device on this machine")
    try:
        return model.to(torch.device(device))
    except RuntimeError as error:
        raise EngineError(f"the model cannot be put on {device!r}: {error}") from error


def _lacks_memory(error: BaseException) -> bool:
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or any(sign in str(error) for sign in _NO_MEMORY)
