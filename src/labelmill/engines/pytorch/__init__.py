"""pytorch: any model that transformers can load, through PyTorch, on CPU or CUDA.

Weights and sums are in the engine's precision, outputs leave it in float32. A checkpoint that lacks
a weight of the task's model is refused: transformers would fill in random numbers and warn. One
module a readout says how it is got.
"""

from typing import TYPE_CHECKING

import torch

from labelmill.checkpoints import Checkpoint, localize
from labelmill.engines import Use
from labelmill.models.precision import best_on_cpu
from labelmill.readouts import Readout

if TYPE_CHECKING:
    from labelmill.engines.pytorch.engine import PyTorchEngine

compiles = True
most_threads = 1  # two replicas of one thread label more than one of two


def best_device() -> str:
    """CUDA where there is a device, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def suits(use: Use, *, precision: str, device: str) -> bool:
    """See EngineModule: whatever nothing else is better at."""
    del use, precision, device
    return True


def best_precision(device: str) -> str:
    """Half precision only where the device computes in it; never float16 where bf16 is."""
    if device == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if native else "float16"
    return best_on_cpu()


def examine(checkpoint: Checkpoint, auto_class: str, readout: Readout) -> None:
    """See Examiner."""
    from labelmill.models import loading  # noqa: PLC0415

    loading.examine(localize(checkpoint), auto_class, readout)


def load(  # noqa: PLR0913 - see Compiler
    checkpoint: Checkpoint,
    auto_class: str,
    readout: Readout,
    *,
    precision: str,
    device: str,
    threads: int,
    compiled: bool = False,
) -> "PyTorchEngine":
    """See EngineModule. `threads` is set for the whole process: one engine a process."""
    # Not above: two seconds of imports that who only asks for the best device can do without.
    from labelmill.engines.pytorch.engine import PyTorchEngine  # noqa: PLC0415
    from labelmill.engines.pytorch.packing import Packing  # noqa: PLC0415
    from labelmill.models.loading import load_model  # noqa: PLC0415

    torch.set_num_threads(threads)
    local = localize(checkpoint)
    module = load_model(local, auto_class, getattr(torch, precision), readout)
    # FlashAttention is for half precision alone.
    packing = Packing() if device == "cuda" and precision != "float32" else None
    return PyTorchEngine(
        module,
        readout,
        local,
        precision=precision,
        device=device,
        packing=packing,
        compiled=compiled,
    )
