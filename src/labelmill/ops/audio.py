"""Audio: the bytes of a sound file to one channel of samples at the rate that a model hears.

WAV, FLAC, OGG (Vorbis, Opus), MP3, AIFF and what else libsndfile reads. A file is decoded in
blocks, so that memory grows with what is kept, not with what the file claims; how long it may be is
checked in its header first and again while it is decoded, as a header may lie. What cannot be heard
whole has a reason in place of its samples. It knows no model and no file.

Some damage leaves no trace: an MP3 that does not say how long it is may be cut off, a damaged page
of Vorbis is bridged by its decoder, and a changed sample of a WAV is a sample.
"""

import functools
import importlib
import io
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from labelmill.errors import ConfigError
from labelmill.ops import mp3

Samples = npt.NDArray[np.float32]  # [samples], mostly between -1 and 1

_BLOCK = 1 << 16  # frames decoded at a time
_UNKNOWN = 1 << 62  # frames, where libsndfile finds no number of them
_OPEN_ENDED = 0x7FFF0000  # bytes; a WAV that was piped names this or more, as no size was known yet
_HEADER = 44  # bytes of a WAV before its samples; what such headers say may be off by this much
_SAMPLES = ("data", "SSND")  # the chunks of WAV and AIFF that hold them
_LAST_PAGE = 4  # flag in byte 5 of an Ogg page, RFC 3533 section 6


def sounds(
    column: pa.ChunkedArray, rate: int, max_seconds: float, shortest: int = 1
) -> Iterator[Samples | str]:
    """Each row's samples at `rate` Hz, channels averaged; or the reason why there are none.

    A sound longer than `max_seconds`, or of fewer than `shortest` samples at that rate, has a
    reason. Raises ConfigError where the libraries for sound are missing.
    """
    _libraries()
    for cell in column:
        try:
            samples = _decoded(cell.as_buffer(), rate, max_seconds)
        except _Unheard as reason:
            yield str(reason)
            continue
        yield (
            samples
            if len(samples) >= shortest
            else (
                f"the sound has {len(samples)} samples at {rate} Hz, and this model hears no fewer "
                f"than {shortest}"
            )
        )


class _Unheard(Exception):  # noqa: N818 - never leaves this module
    """The reason, for the row's reject."""


@functools.cache
def _libraries() -> tuple[Any, Any]:
    """A sound file that is read from front to back, and the resampler."""
    try:
        soundfile, soxr = map(importlib.import_module, ("soundfile", "soxr"))
    except (ImportError, OSError) as error:  # OSError: soundfile without libsndfile
        raise ConfigError(
            f"this task decodes sound, and {error}; run pip install 'labelmill[audio]' on every "
            "node"
        ) from error

    class Forward(soundfile.SoundFile):  # type: ignore[misc, name-defined]
        """Else it seeks after each block to where it is, and an MP3 is then distorted there."""

        def seekable(self) -> bool:
            return False

    return Forward, soxr


def _decoded(buffer: pa.Buffer, rate: int, max_seconds: float) -> Samples:
    data = buffer.to_pybytes()
    if not data:
        raise _Unheard("the sound is empty: 0 bytes")
    forward, _ = _libraries()
    try:
        with forward(io.BytesIO(mp3.endless(data))) as sound:
            guessed = sound.frames >= _UNKNOWN or (
                sound.format == "MP3" and not mp3.says_length(data)
            )
            promised = 0 if guessed else int(sound.frames)
            _refuse_long(promised, sound.samplerate, max_seconds)
            _refuse_cut(data, sound.extra_info)
            blocks = _blocks(sound, promised, max_seconds)
            return _collected(_resampled(blocks, sound.samplerate, rate))
    except importlib.import_module("soundfile").LibsndfileError as error:
        raise _Unheard(f"the sound cannot be decoded: {error.error_string.strip()}") from error


def _blocks(sound: Any, promised: int, max_seconds: float) -> Iterator[Samples]:
    """The sound in one channel; raises _Unheard for fewer frames than promised (0: not at all)."""
    done = 0
    while len(block := _block(sound, promised - done, last=done == promised > 0)):
        done += len(block)
        _refuse_long(done, sound.samplerate, max_seconds)
        if not np.isfinite(block).all():
            raise _Unheard(f"a sample before frame {done} of the sound is not a finite number")
        yield block.mean(axis=1) if block.shape[1] > 1 else block[:, 0]
    if not done:
        raise _Unheard("the sound has no samples")
    if done < promised:
        raise _Unheard(
            f"the sound is damaged or cut off: {done} of the {promised} frames that its header "
            "promises"
        )


def _block(sound: Any, left: int, *, last: bool) -> Samples:
    """The next frames, [frames, channels]; those promised are not read together with others.

    Behind the `last` one may be what is no sound, such as a tag, at which a decoder of FLAC fails.
    """
    size = min(left, _BLOCK) if left > 0 else _BLOCK
    try:
        block: Samples = sound.read(size, dtype="float32", always_2d=True)
    except importlib.import_module("soundfile").LibsndfileError:
        if not last:
            raise
        return np.zeros((0, sound.channels), np.float32)
    return block


def _resampled(blocks: Iterable[Samples], rate: int, wanted: int) -> Iterator[Samples]:
    if rate == wanted:
        yield from blocks
        return
    _, soxr = _libraries()
    stream = soxr.ResampleStream(rate, wanted, 1, dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(np.ascontiguousarray(block))
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def _collected(blocks: Iterable[Samples]) -> Samples:
    samples: Samples = np.concatenate(list(blocks))
    return samples


def _refuse_long(frames: int, rate: int, max_seconds: float) -> None:
    if frames > max_seconds * rate:
        raise _Unheard(
            f"the sound is longer than options.max_seconds: {frames / rate:.1f} s, and "
            f"{max_seconds:g} s are allowed"
        )


def _refuse_cut(data: bytes, log: str) -> None:
    """Libsndfile makes do with what is left of a WAV or Ogg file, and only its log says so."""
    if data.startswith(b"OggS"):
        last = data.rfind(b"OggS")
        if len(data) < last + 6 or not data[last + 5] & _LAST_PAGE:
            raise _Unheard("the sound is cut off: its Ogg stream has no last page")
    for line in log.splitlines():
        name, _, rest = line.partition(":")
        claimed, _, found = rest.partition("(should be ")
        if name.strip() not in _SAMPLES or not found:
            continue
        size, left = int(claimed), int(found.partition(")")[0])
        if left + _HEADER < size < _OPEN_ENDED:
            raise _Unheard(
                f"the sound is cut off: {left} of the {size} bytes that its header promises"
            )
