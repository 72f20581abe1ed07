"""Conversion: a checkpoint's torch module to a graph of OpenVINO, compared on a trial.

A graph is traced from one example; what a model decides from values or shapes of its inputs is
frozen in it. So the graph is run in float32 on inputs of other shapes, with padding, and refused
where it says something else than the module does. The graph of a model that sees is for pictures of
the one shape that its image processor makes, however many at once.
"""

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from typing_extensions import override

from labelmill.batch import Array
from labelmill.checkpoints import Checkpoint, localize, processor
from labelmill.engines.openvino import narrowing, runtime
from labelmill.engines.openvino.reading import FIRST_HIDDEN_STATE
from labelmill.errors import ConfigError
from labelmill.models.disentangled import without_gathers
from labelmill.models.loading import load_model
from labelmill.models.quiet import quiet
from labelmill.ops import pixels
from labelmill.readouts import Logits, Readout

_TYPES = "token_type_ids"
_NAMES = ("input_ids", "attention_mask", _TYPES)  # those that a module takes, in order
_TRIALS = ((7, 4), (1,), (3, 12, 5))  # tokens of the sequences; the first is traced
_PIXELS = "pixel_values"  # the only input of a module that sees
_PICTURES = (2, 1, 3)  # pictures of the trials
_ONE = frozenset({"pooler_output", FIRST_HIDDEN_STATE})  # one vector a sequence
_TOLERANCE = 1e-3  # of the largest number; sums in float32 differ by 1e-5 or so

Floats = npt.NDArray[np.float32]
Lengths = npt.NDArray[np.int64]
Trial = tuple[Mapping[str, Array], Lengths | None]  # inputs; lengths, for a vector a token


def convert(
    checkpoint: Checkpoint,
    auto_class: str,
    readout: Readout,
    outputs: tuple[str, ...],
    threads: int,
) -> Any:
    """An openvino.Model, float32, with those outputs of the module, inputs of any shape.

    Raises ModelError where the checkpoint does not fit, ConfigError where it cannot be converted.
    """
    torch.set_num_threads(threads)
    module = _Module(load_model(localize(checkpoint), auto_class, torch.float32, readout), outputs)
    by_token = not isinstance(readout, Logits) and not _ONE.intersection(outputs)
    shape = _picture(checkpoint) if module.sees else None
    trials = (
        [_trial(module.settings, lengths, by_token=by_token) for lengths in _TRIALS]
        if shape is None
        else [_picture_trial(shape, pictures) for pictures in _PICTURES]
    )
    _require_plain_types(module, *trials[0], checkpoint.source)
    if not module.sees:
        _require_blind(module, trials[0][0], checkpoint.source)
    graph = _traced(module, trials[0][0], checkpoint.source)
    if shape is not None:
        graph.reshape([-1, *shape])
    narrowing.narrow(graph)
    run = runtime.Run(graph, "float32", streams=1)
    for inputs, lengths in trials:
        _compare(module, run, inputs, lengths, checkpoint.source)
    return graph


class _Module(torch.nn.Module):
    """The model with inputs by position, as tracing wants it, and only the outputs that count."""

    def __init__(self, model: Any, outputs: tuple[str, ...]) -> None:
        super().__init__()
        without_gathers(model)
        accepts = inspect.signature(model.forward).parameters
        self.model = model.eval()
        self.settings = model.config.get_text_config()
        self.sees = model.main_input_name == _PIXELS
        self.names = (_PIXELS,) if self.sees else tuple(name for name in _NAMES if name in accepts)
        self.outputs = outputs
        # Decoders would give out keys and values that nobody asks for.
        self._fixed = {"use_cache": False} if "use_cache" in accepts else {}

    @override
    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = self.model(**dict(zip(self.names, inputs, strict=True)), **self._fixed)
        return tuple(_output(found, name) for name in self.outputs)


def _output(found: Any, name: str) -> torch.Tensor:
    values: torch.Tensor = (
        found["last_hidden_state"][:, 0] if name == FIRST_HIDDEN_STATE else found[name]
    )
    return values


def _require_plain_types(
    module: _Module, inputs: Mapping[str, Array], lengths: Lengths | None, source: str
) -> None:
    """A graph has all of its inputs, always: no token types must be the same as all of them 0."""
    if _TYPES not in module.names:
        return
    given = {name: torch.from_numpy(inputs[name]) for name in module.names}
    given[_TYPES] = torch.zeros_like(given[_TYPES])
    with torch.inference_mode():
        zeros = [values.numpy() for values in module(*given.values())]
        del given[_TYPES]
        found = module.model(**given)
    for name, values in zip(module.outputs, zeros, strict=True):
        if _difference(values, _output(found, name).numpy(), lengths) > _TOLERANCE:
            raise ConfigError(
                f"model.engine: {source!r}, a {type(module.model).__name__}, tells token types "
                "of 0 from none, which the engine 'openvino' cannot; set model.engine to 'pytorch'"
            )


def _require_blind(module: _Module, inputs: Mapping[str, Array], source: str) -> None:
    """Sequences of unequal length are computed together: what pads one must be nothing to it."""
    given = [torch.from_numpy(inputs[name]) for name in module.names]
    with torch.inference_mode():
        together = module(*given)
        for row, count in enumerate(inputs["attention_mask"].sum(axis=1).tolist()):
            alone = module(*(values[row : row + 1, :count] for values in given))
            for name, whole, one in zip(module.outputs, together, alone, strict=True):
                found = whole[row, :count] if one.shape[1:2] == (count,) else whole[row]
                most = max(1.0, float(one.abs().max()))
                if not float((found - one[0]).abs().max()) <= _TOLERANCE * most:
                    raise ConfigError(
                        f"model.engine: {name} of {source!r}, a {type(module.model).__name__}, "
                        "change with the padding beside a text, which the engine 'openvino' "
                        "cannot leave out; set model.engine to 'pytorch'"
                    )


def _traced(module: _Module, inputs: Mapping[str, Array], source: str) -> Any:
    example = tuple(torch.from_numpy(inputs[name]) for name in module.names)
    try:
        # The tracer looks at every property of the model, and that of its loss warns: quiet.
        with quiet(), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the tracer warns of every value that it freezes
            graph = runtime.openvino().convert_model(module, example_input=example)
    except Exception as error:  # as OpenVINO has no tree of errors, and models raise what they like
        raise ConfigError(
            f"model.engine: OpenVINO cannot convert {source!r}, a {type(module.model).__name__} "
            f"({_first_line(error)}); set model.engine to 'pytorch'"
        ) from error
    for port, name in zip(graph.inputs, module.names, strict=True):
        port.get_tensor().set_names({name})
    for port, name in zip(graph.outputs, module.outputs, strict=True):
        port.get_tensor().set_names({name})
    return graph


def _compare(
    module: _Module,
    run: runtime.Run,
    inputs: Mapping[str, Array],
    lengths: Lengths | None,
    source: str,
) -> None:
    given = {name: inputs[name] for name in module.names}
    ours = run(given)
    with torch.inference_mode():
        theirs = module(*(torch.from_numpy(values) for values in given.values()))
    for name, wanted in zip(module.outputs, theirs, strict=True):
        exact, found = wanted.numpy(), ours[name].astype(np.float32, copy=False)
        off = _difference(found, exact, lengths)
        if not off <= _TOLERANCE * max(1.0, float(np.nanmax(np.abs(exact)))):
            raise ConfigError(
                f"model.engine: converted by OpenVINO, {source!r}, a "
                f"{type(module.model).__name__}, says something else ({name} is off by {off:.2g}); "
                "set model.engine to 'pytorch'"
            )


def _difference(found: Floats, exact: Floats, lengths: Lengths | None) -> float:
    """The largest; `lengths` where there is a vector a token, to leave that of padding out."""
    if found.shape != exact.shape:
        return float("inf")
    off = np.abs(found - exact)
    if lengths is not None:
        off = off[np.arange(off.shape[1]) < lengths[:, np.newaxis]]
    return float(off.max(initial=0.0))


def _trial(settings: Any, lengths: tuple[int, ...], *, by_token: bool) -> Trial:
    """Random tokens but padding, padded as microbatches are."""
    counts = np.array(lengths, np.int64)
    attended = np.arange(counts.max()) < counts[:, np.newaxis]
    random = np.random.default_rng(len(lengths))
    padding = int(settings.pad_token_id or 0)
    ids = random.integers(0, settings.vocab_size, attended.shape)
    ids = np.where(ids == padding, (padding + 1) % settings.vocab_size, ids)
    types = random.integers(0, max(1, getattr(settings, "type_vocab_size", 0)), attended.shape)
    return {
        "input_ids": np.where(attended, ids, padding),
        "attention_mask": attended.astype(np.int64),
        "token_type_ids": np.where(attended, types, 0),
    }, counts if by_token else None


def _picture(checkpoint: Checkpoint) -> tuple[int, ...]:
    """[channels, height, width] that the checkpoint's image processor makes of every picture."""
    shape = pixels.shape_of(processor(checkpoint, "AutoImageProcessor"))
    if shape is None:
        raise ConfigError(
            f"model.engine: the image processor of {checkpoint.source!r} makes pictures of unequal "
            "shapes, or more than pixels, which the engine 'openvino' does not take; set "
            "model.engine to 'pytorch'"
        )
    return shape


def _picture_trial(shape: tuple[int, ...], pictures: int) -> Trial:
    """Random pixels, about as processors scale them."""
    random = np.random.default_rng(pictures)
    return {_PIXELS: random.standard_normal((pictures, *shape)).astype(np.float32)}, None


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
