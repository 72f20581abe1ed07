"""Engines: what runs a model. One module an engine, found by its name.

An engine takes a microbatch of numpy arrays and gives the model's outputs as numpy arrays. It holds
one model on one device, and knows no text, no label and no Ray. `EngineModule` says what a module
under this package must have; importing it may import its runtime, importing this package does not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from labelmill.batch import Microbatch, Outputs, Padding
from labelmill.checkpoints import Checkpoint
from labelmill.errors import ConfigError
from labelmill.ops import plugins
from labelmill.readouts import Readout

_DEFAULT = "pytorch"
_AUTO = ("openvino", _DEFAULT)  # the first that suits


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a model is wanted for: which decides what runs it best."""

    model_type: str  # as ModelFacts has it
    readout: Readout
    own_code: bool = False  # the checkpoint brings Python code of its own, which nobody has tried
    # Of every picture, once it is prepared; None: no pictures, or shapes that depend on them.
    picture: tuple[int, ...] | None = None
    auto_class: str | None = None  # of transformers; None where nobody asks


class Engine(Protocol):
    """One model on one device, ready."""

    name: str  # of its module
    device: str  # "cpu" or "cuda"
    precision: str  # "float32" | "bfloat16" | "float16" | "int8"
    default_budget: int  # tokens a microbatch, padding included, that this device is fast with
    padding: Padding  # of microbatches that are not packed
    packs: bool  # it wants microbatches packed, not padded
    streams: int  # microbatches that it computes at once, for as many threads that call `forward`

    def forward(self, microbatch: Microbatch) -> Outputs:
        """Outputs by name, in the microbatch's order; numbers that are no integers in float32.

        They may still be on their way: looking at one waits for it, and may raise EngineError.
        Raises OutOfMemory, after which the engine can go on with a smaller microbatch.
        """
        ...

    def close(self) -> None:
        """Give the model's memory back; the engine is of no use afterwards."""
        ...


class EngineModule(Protocol):
    """What a module under this package must have."""

    most_threads: int  # CPU threads that one engine puts to good use, where it computes on a CPU

    def best_device(self) -> str:
        """The fastest device of this machine that the engine can use."""
        ...

    def suits(self, use: Use, *, precision: str, device: str) -> bool:
        """Whether `auto` may take it for that, precision (or `auto`) and device, on this machine.

        Only where it was compared with PyTorch, and is faster.
        """
        ...

    def best_precision(self, device: str) -> str:
        """The fastest precision on the device whose labels are as good as float32's."""
        ...

    def load(
        self,
        checkpoint: Checkpoint,
        auto_class: str,
        readout: Readout,
        *,
        precision: str,
        device: str,
        threads: int,
    ) -> Engine:
        """The model, loaded, to be read out so.

        Raises ModelError where the checkpoint does not fit `auto_class`, ConfigError where the
        engine does not know the readout.
        """
        ...


class Particular(EngineModule, Protocol):
    """What a module has besides that does not do whatever it may be named for."""

    def refuse(self, use: Use, *, precision: str, device: str) -> None:
        """Raise what `load` would raise for that: before a run is there that cannot go on."""
        ...


class Examiner(EngineModule, Protocol):
    """What a module has besides whose model transformers loads."""

    def examine(self, checkpoint: Checkpoint, auto_class: str, readout: Readout) -> None:
        """Raise the ModelError of `load` that names and shapes of weights tell of."""
        ...


class Compiler(EngineModule, Protocol):
    """What a module has besides whose `load` takes `compiled`, and compiles the model's layers."""

    compiles: bool


class Quantizer(EngineModule, Protocol):
    """What a module has besides whose engine works in int8, with ranges taken from rows."""

    def quantize(
        self,
        checkpoint: Checkpoint,
        auto_class: str,
        readout: Readout,
        calibration: Sequence[Microbatch],
        *,
        threads: int,
    ) -> bytes:
        """The model in int8, whole, to be kept and sent around.

        Raises ConfigError where what it takes is not installed, or the model cannot be quantized.
        """
        ...

    def load_quantized(
        self,
        model: Callable[[], bytes],
        digest: str,
        checkpoint: Checkpoint,
        readout: Readout,
        *,
        threads: int,
    ) -> Engine:
        """The engine with what `quantize` made; `digest` is the SHA-256 in hex of its bytes."""
        ...


def choose(
    engine: str, precision: str, device: str | None = None, use: Use | None = None
) -> tuple[str, str]:
    """Engine and precision, every `auto` resolved for the device (None: this machine's best).

    Without a `use`, `auto` is PyTorch, which knows every one. Raises ConfigError or EngineError
    where the engine that is named cannot do it.
    """
    name = engine
    if engine == "auto":
        device = device or best_device()
        name = _DEFAULT if use is None else _suited(use, precision, device)
    if precision == "int8" and not hasattr(_module(name), "quantize"):
        raise ConfigError(_no_int8(engine, name))
    if precision == "auto":
        precision = _module(name).best_precision(device or best_device(name))
    if engine != "auto" and use is not None and hasattr(_module(name), "refuse"):
        particular = cast("Particular", _module(name))
        particular.refuse(use, precision=precision, device=device or best_device(name))
    return name, precision


def _suited(use: Use, precision: str, device: str) -> str:
    fitting = (
        name for name in _AUTO if _module(name).suits(use, precision=precision, device=device)
    )
    return next(fitting, _DEFAULT)


def _no_int8(asked: str, name: str) -> str:
    why = (
        f"the engine {name!r} does not compute in it"
        if asked != "auto"
        else f"model.engine is 'auto', which takes {name!r} here: the job runs on a GPU, OpenVINO "
        "is not installed, or was not tried with models of this type"
    )
    return (
        f"model.precision: 'int8' is for the engine 'openvino', and {why}; set model.engine to "
        "'openvino', or model.precision to 'auto'"
    )


def best_device(engine: str = _DEFAULT) -> str:
    """The device of this machine that the engine would take."""
    return _module(engine).best_device()


def most_threads(engine: str) -> int:
    """CPU threads that one engine of that name puts to good use."""
    return _module(engine).most_threads


def compiles(engine: str) -> bool:
    """Whether the engine of that name can compile a model's layers for a GPU."""
    return getattr(_module(engine), "compiles", False)


def examine(name: str, checkpoint: Checkpoint, auto_class: str, readout: Readout) -> None:
    """Raise what the engine of that name would when it loads the checkpoint, if it can tell."""
    if hasattr(_module(name), "examine"):
        cast("Examiner", _module(name)).examine(checkpoint, auto_class, readout)


def load(  # noqa: PLR0913 - see EngineModule
    name: str,
    checkpoint: Checkpoint,
    auto_class: str,
    readout: Readout,
    *,
    precision: str,
    device: str,
    threads: int,
    compiled: bool = False,
) -> Engine:
    """The engine of that name with the checkpoint in it; raises what EngineModule.load does.

    `compiled` is for those that can.
    """
    module = _module(name)
    settings: dict[str, Any] = {"precision": precision, "device": device, "threads": threads}
    if compiled:
        settings["compiled"] = True
    return module.load(checkpoint, auto_class, readout, **settings)


def quantize(
    name: str,
    checkpoint: Checkpoint,
    auto_class: str,
    readout: Readout,
    calibration: Sequence[Microbatch],
    *,
    threads: int,
) -> bytes:
    """The checkpoint in int8 for the engine of that name; raises what Quantizer.quantize does."""
    module = cast("Quantizer", _module(name))
    return module.quantize(checkpoint, auto_class, readout, calibration, threads=threads)


def load_quantized(
    name: str,
    model: Callable[[], bytes],
    digest: str,
    checkpoint: Checkpoint,
    readout: Readout,
    *,
    threads: int,
) -> Engine:
    """The engine of that name with what `quantize` made in it."""
    module = cast("Quantizer", _module(name))
    return module.load_quantized(model, digest, checkpoint, readout, threads=threads)


def _module(name: str) -> EngineModule:
    return cast("EngineModule", plugins.load("labelmill.engines", name))
