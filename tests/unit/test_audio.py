"""Bytes of sound files to samples, or the reason why not."""

import io
import struct
import sys

import numpy as np
import pyarrow as pa
import pytest
import soxr

from labelmill.errors import ConfigError
from labelmill.ops import audio
from tests.support.audio_models import RATE, file, tone

SOUND = tone(3)
FORMATS = [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")]
FORMATS += [("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16")]


def heard(*files: bytes, rate: int = RATE, max_seconds: float = 60, shortest: int = 1):
    column = pa.chunked_array([pa.array(files, pa.large_binary())])
    return list(audio.sounds(column, rate, max_seconds, shortest))


def one(data: bytes, **settings):
    (found,) = heard(data, **settings)
    return found


def reason(data: bytes, **settings) -> str:
    found = one(data, **settings)
    assert isinstance(found, str)
    return found


def test_float_wav_at_the_rate_of_the_model_is_unchanged():
    found = one(file(SOUND))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, SOUND)


@pytest.mark.parametrize(("name", "subtype"), FORMATS)
def test_every_format_is_near_the_sound(name, subtype):
    rate = 48_000 if subtype == "OPUS" else RATE
    found = one(file(tone(3, rate=rate), name, subtype, rate), rate=rate)
    assert len(found) == 3 * rate
    assert np.corrcoef(found, tone(3, rate=rate))[0, 1] > 0.95


def test_channels_are_averaged():
    stereo = np.stack([SOUND, SOUND * 0.5, SOUND * 0], axis=1)
    np.testing.assert_allclose(one(file(stereo)), SOUND * 0.5, atol=1e-7)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled_as_soxr_does_at_once(rate):
    sound = tone(10, rate=rate)  # several blocks
    expected = soxr.resample(sound, rate, RATE)
    found = one(file(sound, rate=rate))
    assert len(found) == len(expected) == 10 * RATE
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_long_sound_is_refused_by_its_header():
    assert "longer than options.max_seconds: 3.0 s, and 2 s" in reason(file(SOUND), max_seconds=2)
    assert isinstance(one(file(SOUND), max_seconds=3), np.ndarray)


def test_a_small_file_that_claims_hours_is_refused_before_it_is_decoded():
    silence = file(np.zeros(RATE, np.int16), "FLAC", "PCM_16")
    head = bytearray(silence)
    head[21] |= 0x0F  # the upper bits of the number of frames in STREAMINFO
    assert "longer than options.max_seconds" in reason(bytes(head))


@pytest.mark.parametrize(("name", "subtype"), FORMATS)
def test_half_a_file_is_refused(name, subtype):
    rate = 48_000 if subtype == "OPUS" else RATE
    data = file(tone(3, rate=rate), name, subtype, rate)
    assert reason(data[: len(data) // 2])
    assert reason(data[:100])


@pytest.mark.parametrize(("name", "subtype"), [FORMATS[1], *FORMATS[3:5]])
def test_a_damaged_compressed_file_is_refused(name, subtype):
    rate = 48_000 if subtype == "OPUS" else RATE
    data = bytearray(file(tone(3, rate=rate), name, subtype, rate))
    data[len(data) // 2 : len(data) // 2 + 200] = b"\xff\x00" * 100
    assert reason(bytes(data))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes"),
        (b"this is no sound", "cannot be decoded"),
        (b"\x00" * 1000, "cannot be decoded"),
        (file(SOUND[:0]), "no samples"),
        (file(SOUND)[:1000], r"cut off: \d+ of the 192000 bytes"),
    ],
    # The file of floats has the time of its writing in it, which no id may have.
    ids=["empty", "text", "zeros", "no-samples", "cut-off"],
)
def test_what_is_no_sound_has_the_reason(data, words):
    import re

    assert re.search(words, reason(data))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(value):
    broken = SOUND.copy()
    broken[40_000] = value
    assert "not a finite number" in reason(file(broken))


def test_a_sound_shorter_than_the_model_hears_is_refused():
    assert "399 samples at 16000 Hz" in reason(file(SOUND[:399]), shortest=400)
    assert len(one(file(SOUND[:400]), shortest=400)) == 400


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_wav_that_was_piped_names_no_size_and_is_whole(size):
    data = bytearray(file(SOUND, "WAV", "PCM_16"))
    place = data.index(b"data")
    data[place + 4 : place + 8] = struct.pack("<I", size)
    assert len(one(bytes(data))) == len(SOUND)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_an_mp3_without_its_length_is_decoded_to_its_end(rate, channels):
    """Loud first, so that its first bit rate says little of the others."""
    sound = np.concatenate([tone(1, rate=rate), np.zeros(4 * rate, np.float32), tone(2, rate=rate)])
    data = file(np.stack([sound] * channels, axis=1), "MP3", rate=rate)
    second = data.index(data[:2], 10)  # the first frame holds only the length
    whole, found = one(data, rate=rate), one(data[second:], rate=rate)
    assert len(whole) == len(sound)
    late = len(found) - len(whole)  # the encoder's delay, which the length goes with
    assert 0 <= late < 2400
    starts = range(min(late + 1, 1200))
    assert min(np.abs(found[at : at + len(whole)] - whole).max() for at in starts) < 1e-6


def test_an_mp3_is_the_same_in_blocks_as_at_once():
    import soundfile

    data = file(tone(20, rate=48_000), "MP3", rate=48_000)
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    np.testing.assert_array_equal(one(data, rate=48_000), expected)


def test_a_flac_that_was_piped_names_no_length_and_is_whole():
    data = bytearray(file(SOUND, "FLAC", "PCM_16"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    np.testing.assert_array_equal(one(bytes(data)), one(file(SOUND, "FLAC", "PCM_16")))
    assert "longer than options.max_seconds" in reason(bytes(data), max_seconds=2)


@pytest.mark.parametrize("samples", [SOUND[:100], SOUND[:1], tone(9)])
def test_a_tag_behind_a_flac_is_no_damage(samples):
    data = file(samples, "FLAC", "PCM_16")
    np.testing.assert_array_equal(one(data + b"TAG".ljust(128, b"\0")), one(data))


def test_an_mp3_behind_a_tag_is_still_known_to_be_cut_off():
    data = file(SOUND, "MP3")
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, 3, 0]) + b"\x00" * (3 << 7)
    assert len(one(tag + data)) == len(SOUND)
    assert "damaged or cut off" in reason(tag + data[: len(data) // 2])


def test_bad_sounds_cost_no_good_ones():
    found = heard(b"", file(SOUND), b"x", file(SOUND[:16_000]))
    assert [isinstance(sound, str) for sound in found] == [True, False, True, False]
    assert len(found[3]) == 16_000


def test_without_the_libraries_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    audio._libraries.cache_clear()
    with pytest.raises(ConfigError, match=r"pip install 'labelmill\[audio\]'"):
        heard(file(SOUND))


def test_memory_is_that_of_what_is_kept():
    """Blocks are resampled one by one: eight channels at 192 kHz are never there as a whole."""
    import tracemalloc

    data = file(np.zeros((192_000 * 10, 8), np.float32), "FLAC", "PCM_16", 192_000)
    tracemalloc.start()
    kept = one(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == 160_000
    assert peak < 12_000_000  # 61 MB as a whole


def test_the_buffer_is_read_from_any_slice():
    column = pa.chunked_array([pa.array([b"", file(SOUND), b""], pa.large_binary())]).slice(1, 1)
    (found,) = audio.sounds(column, RATE, 60)
    np.testing.assert_array_equal(found, SOUND)
