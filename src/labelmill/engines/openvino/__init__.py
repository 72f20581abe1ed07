"""openvino: models that score or embed text or score pictures, in OpenVINO on a CPU.

A checkpoint is converted from the torch module that the engine `pytorch` would run; the graph is
compared with it on a trial, and kept in a cache beside the hub's. Later processes read the graph
alone and need neither torch nor transformers. Weights and sums are in the engine's precision,
outputs leave it in float32. In int8 it runs a graph that was quantized on rows of the job.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from labelmill.batch import Microbatch
from labelmill.checkpoints import Checkpoint
from labelmill.engines import Use
from labelmill.engines.openvino import runtime
from labelmill.errors import ConfigError, EngineError
from labelmill.readouts import Embedding, Logits, Readout, TokenLogits

if TYPE_CHECKING:
    from labelmill.engines.openvino.engine import OpenVINOEngine

# A stream each. All of them wait while one thread does what lies between two splits.
most_threads = 8

_PRECISIONS = ("float32", "bfloat16")
# Text models that `auto` trusts it with: tests compare each with PyTorch.
_MODEL_TYPES = frozenset(
    {
        "albert",
        "bert",
        "deberta-v2",
        "distilbert",
        "electra",
        "modernbert",
        "mpnet",
        "roberta",
        "xlm-roberta",
    }
)
# The same for classifiers of pictures. ConvNeXt is as fast in PyTorch.
_PICTURE_TYPES = frozenset({"dinov2", "mobilenet_v1", "mobilenet_v2", "swin", "vit"})


def best_device() -> str:
    """The CPU; raises ConfigError where OpenVINO is not installed."""
    runtime.require()
    return "cpu"


def best_precision(device: str) -> str:
    """bfloat16 only where the CPU computes in it."""
    del device
    runtime.require()
    # Not above: it imports torch, which a replica does not need.
    from labelmill.models.precision import best_on_cpu  # noqa: PLC0415

    return best_on_cpu()


def suits(use: Use, *, precision: str, device: str) -> bool:
    """See EngineModule: where it is installed, for what it was tried with."""
    known = _reads(use) if use.model_type in _MODEL_TYPES else _sees(use, precision)
    if device != "cpu" or not known or use.own_code or not runtime.installed():
        return False
    return precision in ("auto", "int8", *runtime.precisions())


def _reads(use: Use) -> bool:
    return isinstance(use.readout, Logits | TokenLogits | Embedding)


def _sees(use: Use, precision: str) -> bool:
    """Pictures of one shape, which a graph is made for."""
    able = isinstance(use.readout, Logits) and precision != "int8"
    return able and use.model_type in _PICTURE_TYPES and use.picture is not None


def refuse(use: Use, *, precision: str, device: str) -> None:
    """See Particular; what int8 needs, who quantizes says."""
    _able(use.readout, "float32" if precision == "int8" else precision, device)


def examine(checkpoint: Checkpoint, auto_class: str, readout: Readout) -> None:
    """See Examiner: who converts begins with PyTorch's model."""
    # Not above: they import torch, which a replica with a graph does not need.
    from labelmill.checkpoints import localize  # noqa: PLC0415
    from labelmill.models import loading  # noqa: PLC0415

    loading.examine(localize(checkpoint), auto_class, readout)


def load(
    checkpoint: Checkpoint,
    auto_class: str,
    readout: Readout,
    *,
    precision: str,
    device: str,
    threads: int,
) -> "OpenVINOEngine":
    """See EngineModule; raises ConfigError where OpenVINO is not installed, or not able to."""
    from labelmill.engines.openvino.cache import graph_of  # noqa: PLC0415
    from labelmill.engines.openvino.engine import OpenVINOEngine  # noqa: PLC0415

    outputs = _able(readout, precision, device)
    graph = graph_of(checkpoint, auto_class, readout, outputs, threads)
    return OpenVINOEngine(graph, readout, checkpoint, precision=precision, threads=threads)


def quantize(
    checkpoint: Checkpoint,
    auto_class: str,
    readout: Readout,
    calibration: Sequence[Microbatch],
    *,
    threads: int,
) -> bytes:
    """See Quantizer; raises ConfigError for pictures, and where OpenVINO or nncf is missing."""
    from labelmill.engines.openvino import cache, quantization  # noqa: PLC0415
    from labelmill.engines.openvino.reading import outputs_of  # noqa: PLC0415

    runtime.require()
    quantization.require()
    if any("input_ids" not in batch.inputs for batch in calibration):
        raise ConfigError(
            "model.precision: 'int8' is for models that read text, and this job has none; set it "
            "to 'auto'"
        )
    outputs = outputs_of(readout)
    graph = cache.graph_of(checkpoint, auto_class, readout, outputs, threads)
    facts = cache.facts(checkpoint, auto_class, outputs)
    return quantization.quantized(graph, facts, calibration)


def load_quantized(
    model: Callable[[], bytes],
    digest: str,
    checkpoint: Checkpoint,
    readout: Readout,
    *,
    threads: int,
) -> "OpenVINOEngine":
    """See Quantizer; raises ConfigError where OpenVINO is not installed, or not able to."""
    from labelmill.engines.openvino.engine import OpenVINOEngine  # noqa: PLC0415
    from labelmill.engines.openvino.quantization import unpacked  # noqa: PLC0415

    runtime.require()
    graph = unpacked(model, digest)
    _require(graph.rest)
    if not graph.portable and runtime.saturates():
        raise ConfigError(
            "model.precision: this run's model in int8 was made on a CPU with VNNI, and would give "
            "other labels on this one, whose products in int8 saturate; go on where CPUs have VNNI "
            "(avx512_vnni, avx_vnni), or begin a new output directory here"
        )
    return OpenVINOEngine(
        graph.path, readout, checkpoint, precision="int8", threads=threads, rest=graph.rest
    )


def _able(readout: Readout, precision: str, device: str) -> tuple[str, ...]:
    """The model's outputs that are wanted; raises ConfigError or EngineError where it cannot."""
    from labelmill.engines.openvino.reading import outputs_of  # noqa: PLC0415

    runtime.require()
    if device != "cpu":
        raise EngineError(f"model.engine: 'openvino' needs 'cpu', and the job runs on {device!r}")
    if precision not in _PRECISIONS:
        raise ConfigError(
            f"model.precision: the engine 'openvino' does not compute in {precision!r}; expected "
            f"{' or '.join(map(repr, _PRECISIONS))}, or set model.engine to 'pytorch'"
        )
    _require(precision)
    return outputs_of(readout)


def _require(precision: str) -> None:
    """Raise ConfigError where this CPU would compute in another precision, without a word."""
    if precision not in runtime.precisions():
        raise ConfigError(
            f"model.precision: this CPU has no instructions for {precision!r}, and OpenVINO would "
            "take float32; a run that was begun in it goes on where CPUs have them; for a new one "
            "set model.precision to 'auto', or model.engine to 'pytorch', which is slow in it"
        )
