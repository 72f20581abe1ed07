"""Quantization: a graph in float32 to one in int8, by nncf, calibrated on microbatches of a job.

Matrix products with weights get both factors in int8, their ranges taken from the calibration;
attention, and what nncf leaves alone (norms, pooling), is computed in the precision that the bytes
of the model name. Bytes hold a whole model: who has them, wherever, computes with the same numbers.
Where int8 saturates (see `runtime.saturates`) weights get 7 bits, with which it does not, anywhere.
It does not know whether the result is good enough: who asks for it compares.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import io
import logging
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelmill.batch import Array, Microbatch
from labelmill.engines.openvino import cache, runtime
from labelmill.errors import ConfigError

_GENERATION = 3  # of what is made of the same graph and the same microbatches
_BIN = str(Path(cache.GRAPH).with_suffix(".bin"))
_REST = "precision"  # file: the precision of what is not in int8
_BITS = "bits"  # file: of the range of weights that is used
_MEMBERS = (cache.GRAPH, _BIN, _REST, _BITS)
_NARROW, _WHOLE = 7, 8
# Left in the rest's precision. In int8 it is hardly quicker, and loses most: 95.5% of MiniLM's
# labels were those of float32, 98.9% without it; cosines of its embeddings were 0.987 and 0.996.
_ATTENTION = "ScaledDotProductAttention"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # so that bytes tell of no clock


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedGraph:
    """A graph in int8 on this machine's disk."""

    path: Path
    rest: str  # the precision of what is not in int8
    bits: int  # of weights that are used

    @property
    def portable(self) -> bool:
        """No CPU saturates with it."""
        return self.bits == _NARROW


def require() -> None:
    """Raise ConfigError where nncf is not installed."""
    if importlib.util.find_spec("nncf") is None:
        raise ConfigError(
            "model.precision: 'int8' needs nncf to quantize the model, which is not installed; "
            "pip install 'labelmill[int8]' where models run, or set it to 'auto', with "
            "a new output directory"
        )


def quantized(graph: Path, named: Sequence[str], calibration: Sequence[Microbatch]) -> bytes:
    """The model of a graph that these facts name; the same again is taken from the cache.

    Raises ConfigError where nncf cannot quantize it.
    """
    require()
    settings = f"nncf {importlib.metadata.version('nncf')} {_GENERATION}"
    facts = [*named, settings, _rest(), str(_bits()), _digest(calibration)]
    entry = cache.kept(facts, lambda entry: _make(graph, calibration, entry))
    return _packed(entry)


def unpacked(model: Callable[[], bytes], digest: str) -> QuantizedGraph:
    """The graph of a model.

    `model` gives the bytes, whose hash is `digest`; it is asked only where they are not there yet.
    """

    def make(entry: Path) -> None:
        with zipfile.ZipFile(io.BytesIO(model())) as packed:
            for name in packed.namelist():
                if name in _MEMBERS:
                    (entry / name).write_bytes(packed.read(name))

    entry = cache.kept(["quantized", digest], make)
    bits = entry / _BITS
    return QuantizedGraph(
        path=entry / cache.GRAPH,
        rest=(entry / _REST).read_text(),
        bits=int(bits.read_text()) if bits.exists() else _WHOLE,  # older models do not tell
    )


def _make(graph: Path, calibration: Sequence[Microbatch], entry: Path) -> None:
    openvino = runtime.openvino()
    model = openvino.Core().read_model(graph)
    names = [port.get_any_name() for port in model.inputs]
    given = [_inputs(batch.inputs, names) for batch in calibration]
    # It tells of its progress on stdout, which is for results.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import nncf  # noqa: PLC0415 - seconds, and only for who makes such a model

        nncf.set_log_level(logging.ERROR)
        try:
            model = nncf.quantize(
                model,
                nncf.Dataset(given),
                subset_size=len(given),
                model_type=nncf.ModelType.TRANSFORMER,
                ignored_scope=nncf.IgnoredScope(types=[_ATTENTION], validate=False),
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    overflow_fix=nncf.OverflowFix.ENABLE if _bits() == _NARROW else None,
                    # Up to a quarter of the time, and nothing was won by it.
                    disable_bias_correction=True,
                ),
            )
        except Exception as error:  # nncf has a tree of errors, and raises others too
            raise ConfigError(
                f"model.precision: nncf cannot quantize this model ({runtime.reason(error)}); set "
                "it to 'auto', and use a new output directory"
            ) from error
    cache.save(model, entry)
    (entry / _REST).write_text(_rest())
    (entry / _BITS).write_text(str(_bits()))


def _inputs(inputs: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
    """As `Run` hands them to the graph."""
    shape = inputs["input_ids"].shape
    zeros = np.zeros(shape, np.int64)
    return {name: inputs.get(name, zeros).astype(np.int64) for name in names}


def _rest() -> str:
    """bfloat16 where this CPU computes in it."""
    return runtime.precisions()[-1]


def _bits() -> int:
    """7 lose some labels, so only where this CPU needs it."""
    return _NARROW if runtime.saturates() else _WHOLE


def _digest(calibration: Sequence[Microbatch]) -> str:
    found = hashlib.sha256()
    for batch in calibration:
        for name, values in sorted(batch.inputs.items()):
            found.update(f"{name} {values.shape} {values.dtype}".encode())
            found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


def _packed(entry: Path) -> bytes:
    """The files of an entry as one, the same bytes whenever and wherever it is packed."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as packed:
        for name in _MEMBERS:
            packed.writestr(zipfile.ZipInfo(name, _LONG_AGO), (entry / name).read_bytes())
    return whole.getvalue()
