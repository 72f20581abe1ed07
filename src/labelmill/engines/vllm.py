"""vllm: decoders that write text, through vLLM where it is installed; CUDA only.

vLLM batches by itself, as rows come and go, so a microbatch is a whole split. Sampling is seeded a
row, but by vLLM's own generator: texts differ from the engine `pytorch`, and its kernels do not
promise the same tokens in any company. This module has not been run against vLLM: only what it does
without vLLM is tested.
"""

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np

from labelmill.batch import Microbatch, Outputs, Padding, Ragged
from labelmill.checkpoints import Checkpoint, localize
from labelmill.engines import Use
from labelmill.errors import ConfigError, EngineError
from labelmill.readouts import FINISH, Generation, Readout

most_threads = 1  # it computes on GPUs

_CLASS = "AutoModelForCausalLM"
_UNBOUNDED = 2**40  # tokens: vLLM cuts its batches itself
# Fields of GenerationConfig, as vLLM's SamplingParams call them.
_NAMES = {
    "min_new_tokens": "min_tokens",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
}
_IDLE = {"num_beams": 1}  # what vLLM does anyway


def best_device() -> str:
    """CUDA; raises EngineError where vLLM is not installed."""
    _require()
    return "cuda"


def suits(use: Use, *, precision: str, device: str) -> bool:
    """See EngineModule: only for who names it, as its texts are not PyTorch's."""
    del use, precision, device
    return False


def best_precision(device: str) -> str:
    """What every GPU that vLLM is made for computes in."""
    del device
    return "bfloat16"


def refuse(use: Use, *, precision: str, device: str) -> None:
    """See Particular."""
    del precision
    _able(use.readout, use.auto_class or _CLASS, device)


def load(
    checkpoint: Checkpoint,
    auto_class: str,
    readout: Readout,
    *,
    precision: str,
    device: str,
    threads: int,
) -> "VLLMEngine":
    """See EngineModule; raises EngineError where vLLM is not installed or cannot load the model."""
    del threads
    params = _able(readout, auto_class, device)
    return VLLMEngine(importlib.import_module("vllm"), localize(checkpoint), params, precision)


class VLLMEngine:
    """See Engine."""

    name = "vllm"
    device = "cuda"
    default_budget = _UNBOUNDED
    padding = Padding()
    packs = False
    streams = 1

    def __init__(
        self, vllm: Any, checkpoint: Checkpoint, params: Mapping[str, Any], precision: str
    ) -> None:
        self.precision = precision
        self._vllm = vllm
        self._params = params
        try:
            self._model = vllm.LLM(
                model=checkpoint.path,
                dtype=precision,
                trust_remote_code=checkpoint.trust_remote_code,
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise EngineError(f"vLLM cannot load model {checkpoint.source!r}: {error}") from error

    def forward(self, microbatch: Microbatch) -> Outputs:
        """See Engine."""
        ids, seeds = microbatch.inputs["input_ids"], microbatch.inputs.get("seed")
        prompts = [
            self._vllm.TokensPrompt(prompt_token_ids=row[:length].tolist())
            for row, length in zip(ids, microbatch.lengths, strict=True)
        ]
        own = self._own()
        params = [
            self._vllm.SamplingParams(**{**own, **self._params, **_seed(seeds, row)})
            for row in range(len(prompts))
        ]
        written = self._model.generate(prompts, params, use_tqdm=False)
        return _outputs([answer.outputs[0] for answer in written])

    def _own(self) -> dict[str, Any]:
        """What the checkpoint's generation_config.json says, as far as vLLM goes by it."""
        found = self._model.get_default_sampling_params()
        return {name: getattr(found, name) for name in _NAMES.values()}

    def close(self) -> None:
        """See Engine."""
        self._model = None


def _able(readout: Readout, auto_class: str, device: str) -> dict[str, Any]:
    """Arguments of SamplingParams; raises ConfigError or EngineError where vLLM cannot do it."""
    if not isinstance(readout, Generation) or auto_class != _CLASS:
        raise ConfigError(
            "model.engine: 'vllm' is for text-generation only; set it to 'pytorch' or 'auto' for "
            "this task"
        )
    if device != "cuda":
        raise EngineError(f"model.engine: 'vllm' needs 'cuda', and the job runs on {device!r}")
    params = _params(readout)
    _require()
    return params


def _require() -> None:
    if importlib.util.find_spec("vllm") is None:
        raise EngineError(
            "model.engine: 'vllm' is not installed; pip install 'labelmill[vllm]' on every machine "
            "that predicts, or set model.engine to 'pytorch'"
        )


def _params(readout: Generation) -> dict[str, Any]:
    """Arguments of SamplingParams; raises ConfigError for a setting that vLLM does not have."""
    wanted = {name: value for name, value in readout.settings.items() if value is not None}
    unknown = [name for name in wanted if name not in _NAMES and wanted[name] != _IDLE.get(name)]
    if unknown:
        raise ConfigError(
            f"model.engine: 'vllm' cannot do {unknown[0]} {wanted[unknown[0]]!r}; leave it out, or "
            "set model.engine to 'pytorch'"
        )
    params = {_NAMES[name]: value for name, value in wanted.items() if name in _NAMES}
    if not readout.sample:
        params |= {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
    return {**params, "max_tokens": readout.max_new_tokens, "stop": list(readout.stop) or None}


def _seed(seeds: Any, row: int) -> dict[str, int]:
    return {} if seeds is None else {"seed": int(seeds[row])}


def _outputs(written: list[Any]) -> Outputs:
    ids = [_without_end(one) for one in written]
    cut = [one.finish_reason == "length" for one in written]
    return {
        "ids": Ragged(
            values=np.array([number for row in ids for number in row], np.int64),
            lengths=np.array([len(row) for row in ids], np.int64),
        ),
        "finish": np.where(cut, FINISH.index("length"), FINISH.index("stop")),
    }


def _without_end(one: Any) -> list[int]:
    """The tokens without that of the end; a stop string, which has no token, is the task's."""
    ids = list(one.token_ids)
    by_token = one.finish_reason == "stop" and not isinstance(one.stop_reason, str)
    return ids[:-1] if by_token else ids
