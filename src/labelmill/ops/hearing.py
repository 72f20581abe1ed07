"""Hearing: sounds to model inputs, whole or piece by piece.

A feature extractor of transformers makes the inputs of each piece by itself, so normalization
never reaches over pieces. Samples lie end to end as they are; a spectrogram has one shape for all.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from labelmill.batch import Encoded, ModelFacts
from labelmill.errors import ConfigError, ModelError
from labelmill.ops import audio

_SAMPLES = "samples"  # no model takes an input of this name
_UNLIKE = (0.5, 1.0)  # seconds
_WINDOW = 0.025  # seconds; less than that makes no column of a spectrogram


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How a long sound is cut: pieces of `size` samples, which share two `stride` of them.

    Both are whole frames, and each piece but the first and last gives up `stride` at either end.
    """

    size: int
    stride: int = 0

    def spans(self, samples: int) -> Iterator[tuple[int, int]]:
        """Start and stop of each piece; the last is longer than what it shares."""
        start = 0
        while True:
            stop = min(start + self.size, samples)
            yield start, stop
            if stop == samples:
                return
            start = stop - 2 * self.stride


def cut(seconds: float, stride_seconds: float, facts: ModelFacts, rate: int) -> Cut:
    """Pieces of so many seconds, rounded to frames of the model as transformers rounds them.

    What pieces share is counted in the model's answers, of which an adapter makes fewer.
    Raises ConfigError where the pieces have no sample of their own.
    """
    frame = 1
    if facts.sound is not None:
        frame = facts.sound.answer if stride_seconds else facts.sound.stride
    size = round(seconds * rate / frame) * frame
    stride = round(stride_seconds * rate / frame) * frame
    if size <= 2 * stride:
        raise ConfigError(
            f"options.stride_seconds: {stride_seconds:g} s at both ends leave nothing of pieces of "
            f"{seconds:g} s; lower it to less than {seconds / 2:g}"
        )
    return Cut(size=size, stride=stride)


def encoded(
    column: pa.ChunkedArray,
    extractor: Any,
    facts: ModelFacts,
    pieces: Cut | None,
    max_seconds: float,
) -> Encoded:
    """A sequence for each piece of each sound; rows that cannot be heard are in `errors`.

    `pieces` None: each sound whole. Raises ModelError for a feature extractor whose inputs are
    neither samples nor of one shape.
    """
    rate = int(extractor.sampling_rate)
    shortest = facts.sound.shortest if facts.sound else int(_WINDOW * rate)
    if facts.sound is None:
        _refuse_unlike(_tried(extractor), extractor)
    rows: list[int] = []
    samples: list[int] = []
    inputs: list[npt.NDArray[np.float32]] = []
    errors: dict[int, str] = {}
    for row, sound in enumerate(audio.sounds(column, rate, max_seconds, shortest)):
        if isinstance(sound, str):
            errors[row] = sound
            continue
        for start, stop in pieces.spans(len(sound)) if pieces else [(0, len(sound))]:
            if stop - start >= shortest:
                rows.append(row)
                inputs.append(_features(extractor, sound[start:stop], rate))
                samples.append(stop - start)
    heard = _sequences(inputs, extractor, facts)
    return replace(
        heard,
        rows=np.array(rows, np.int32),
        fixed={**heard.fixed, _SAMPLES: np.array(samples, np.int32)},
        errors=errors,
    )


def durations(encoded: Encoded) -> npt.NDArray[np.int64]:
    """[sequences] samples in each piece."""
    return encoded.fixed[_SAMPLES].astype(np.int64)


def _features(extractor: Any, samples: audio.Samples, rate: int) -> npt.NDArray[np.float32]:
    made = extractor(samples, sampling_rate=rate, return_tensors="np")
    features: npt.NDArray[np.float32] = made[extractor.model_input_names[0]][0]
    return features.astype(np.float32, copy=False)


@functools.lru_cache(maxsize=4)
def _tried(extractor: Any) -> frozenset[tuple[int, ...]]:
    """The shapes that sounds of unlike lengths get: those of a split may all be of one."""
    rate = int(extractor.sampling_rate)
    silence = (np.zeros(int(seconds * rate), np.float32) for seconds in _UNLIKE)
    return frozenset(_features(extractor, samples, rate).shape for samples in silence)


def _refuse_unlike(shapes: frozenset[tuple[int, ...]], extractor: Any) -> None:
    if len(shapes) > 1 or any(len(shape) != 2 for shape in shapes):
        raise ModelError(
            f"{type(extractor).__name__!r} makes inputs of the shapes {sorted(shapes)!r}; expected "
            "samples, or spectrograms of one shape; this kind of model is not supported"
        )


def _sequences(inputs: list[npt.NDArray[np.float32]], extractor: Any, facts: ModelFacts) -> Encoded:
    """The inputs of the model, without what they belong to."""
    name = extractor.model_input_names[0]
    rows = np.zeros(len(inputs), np.int32)
    if facts.sound is not None:
        return Encoded(
            rows=rows,
            lengths=np.array([len(samples) for samples in inputs], np.int32),
            inputs={name: np.concatenate([np.zeros(0, np.float32), *inputs])},
            unit=facts.sound.stride,
            uneven=facts.sound.maskable,
        )
    _refuse_unlike(frozenset(features.shape for features in inputs), extractor)
    return Encoded(
        rows=rows,
        # Columns of a spectrogram; of two of them, or of a patch as dear, a model makes a token.
        lengths=np.array([max(features.shape) // 2 for features in inputs], np.int32),
        fixed={name: np.stack(inputs)} if inputs else {},
    )
