"""pytorch: any model that transformers can load, through PyTorch, on CPU or CUDA.

Weights and sums are in the engine's precision, outputs leave it in float32. A checkpoint that lacks
a weight of the task's model is refused: transformers would fill in random numbers and warn.
"""

import ctypes
import inspect
from typing import TYPE_CHECKING, Any

import torch
import transformers
from safetensors import SafetensorError

from labelmill.batch import Microbatch, Outputs
from labelmill.checkpoints import Checkpoint, localize, processor
from labelmill.errors import EngineError, ModelError, OutOfMemory

if TYPE_CHECKING:  # two seconds of imports that who only asks for the best device can do without
    from transformers import PreTrainedModel

_CPU_BUDGET = 1024  # tokens: with more, activations leave the cache and rows need more padding
_CPU_LAUNCH = 32  # 6 ms for 6 layers of 384, at 0.17 ms a token in bfloat16
_CUDA_BUDGET = 32_768
_OUTPUTS = ("logits",)
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of mallopt

# How the libraries below torch say that there is no memory, besides torch.OutOfMemoryError.
_NO_MEMORY = (
    "can't allocate memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "could not create a memory object",
)


def best_device() -> str:
    """CUDA where there is a device, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def best_precision(device: str) -> str:
    """Half precision only where the device computes in it; never float16 where bf16 is."""
    if device == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if native else "float16"
    able = torch.cpu.get_capabilities()
    native = any(able.get(feature, False) for feature in ("avx512_bf16", "amx_bf16"))
    return "bfloat16" if native else "float32"


def load(
    checkpoint: Checkpoint, auto_class: str, *, precision: str, device: str, threads: int
) -> "PyTorchEngine":
    """See EngineModule. `threads` is set for the whole process: one engine a process."""
    torch.set_num_threads(threads)
    if device == "cpu":
        _keep_memory()
    model = _load(localize(checkpoint), auto_class, getattr(torch, precision))
    return PyTorchEngine(model, precision=precision, device=device)


class PyTorchEngine:
    """See Engine."""

    name = "pytorch"

    def __init__(self, model: "PreTrainedModel", *, precision: str, device: str) -> None:
        self.precision = precision
        self.device = device
        self.default_budget = _CPU_BUDGET if device == "cpu" else _CUDA_BUDGET
        self.launch = _CPU_LAUNCH if device == "cpu" else 0
        self._accepts = frozenset(inspect.signature(model.forward).parameters)
        # Decoders would keep keys and values that nobody asks for.
        self._fixed = {"use_cache": False} if "use_cache" in self._accepts else {}
        self._model: Any = _on(model, device)

    def forward(self, microbatch: Microbatch) -> Outputs:
        """See Engine."""
        try:
            return self._forward(microbatch)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _lacks_memory(error):
                raise EngineError(f"{self.device!r} failed on a microbatch: {error}") from error
            shape = tuple(microbatch.inputs["attention_mask"].shape)
            message = f"no memory on {self.device!r} for a microbatch of {shape!r}: {error}"
        # Out of the handler, else the error's traceback still holds the tensors.
        if self.device == "cuda":
            torch.cuda.empty_cache()
        raise OutOfMemory(message)

    def close(self) -> None:
        """See Engine."""
        self._model = None
        if self.device == "cuda":
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def _forward(self, microbatch: Microbatch) -> Outputs:
        inputs = {
            name: torch.from_numpy(values).to(self.device)
            for name, values in microbatch.inputs.items()
            if name in self._accepts
        }
        outputs = self._model(**inputs, **self._fixed)
        return {name: outputs[name].float().cpu().numpy() for name in _OUTPUTS}


def _keep_memory() -> None:
    """Have glibc keep what tensors free, in this process.

    Outside the main thread it returns the memory of large tensors and faults it in anew at every
    layer: a quarter of a million page faults for 600 texts, 4% of the time. See mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # absent outside glibc
        mallopt(_TRIM_THRESHOLD, 1 << 30)
        mallopt(_MMAP_THRESHOLD, 1 << 25)  # the most that it takes


def _load(checkpoint: Checkpoint, auto_class: str, dtype: torch.dtype) -> "PreTrainedModel":
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model: PreTrainedModel
        model, report = getattr(transformers, auto_class).from_pretrained(
            checkpoint.path,
            dtype=dtype,
            trust_remote_code=checkpoint.trust_remote_code,
            use_safetensors=not checkpoint.allow_pickle or None,
            local_files_only=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelError(
            f"model {checkpoint.source!r} cannot be loaded as {auto_class}: {error}"
        ) from error
    _refuse_other_task(model, checkpoint.source, auto_class)
    _refuse_random_weights(report, checkpoint.source, auto_class)
    _complete_padding(model, checkpoint)
    return model


def _refuse_other_task(model: "PreTrainedModel", source: str, auto_class: str) -> None:
    """Heads of other tasks may have weights of the same names; the config knows better."""
    head = auto_class.removeprefix("AutoModel")
    known = [name for name in model.config.architectures or () if "For" in name]
    if known and not any(name.endswith(head) or name == type(model).__name__ for name in known):
        raise ModelError(
            f"model {source!r} is a {known[0]!r}, expected one with a head {head!r} for this task; "
            "choose a model fine-tuned for the task"
        )


def _refuse_random_weights(report: Any, source: str, auto_class: str) -> None:
    missing = sorted(report["missing_keys"]) + sorted(key[0] for key in report["mismatched_keys"])
    if missing:
        raise ModelError(
            f"model {source!r} has no weights for {', '.join(map(repr, missing[:3]))} "
            f"({len(missing)} in all), which {auto_class} needs; its labels would be random; "
            "choose a fine-tuned model"
        )


def _complete_padding(model: "PreTrainedModel", checkpoint: Checkpoint) -> None:
    """Decoders find each row's last token by the padding id, and refuse several rows without."""
    config = model.config.get_text_config()
    if config.pad_token_id is None:
        config.pad_token_id = processor(checkpoint).pad_token_id


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
