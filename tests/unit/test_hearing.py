"""How a long sound is cut, and what a model that hears samples makes of it."""

import pytest
import transformers

from labelmill.batch import ModelFacts, SoundFacts
from labelmill.checkpoints.sounds import sound_facts
from labelmill.errors import ConfigError
from labelmill.ops import hearing

FACTS = ModelFacts(
    model_type="wav2vec2",
    architecture="Wav2Vec2ForCTC",
    labels=(),
    problem_type=None,
    max_length=None,
    pad_token_id=0,
    sound=SoundFacts(stride=320, shortest=400, maskable=True),
)


def test_pieces_share_two_strides_and_the_last_ends_the_sound():
    cut = hearing.Cut(size=10, stride=2)
    assert list(cut.spans(10)) == [(0, 10)]
    assert list(cut.spans(11)) == [(0, 10), (6, 11)]
    assert list(cut.spans(23)) == [(0, 10), (6, 16), (12, 22), (18, 23)]


@pytest.mark.parametrize("size", [3, 7, 10])
@pytest.mark.parametrize("stride", [0, 1])
@pytest.mark.parametrize("samples", range(1, 60))
def test_every_sample_is_the_own_of_one_piece(size, stride, samples):
    spans = list(hearing.Cut(size=size, stride=stride).spans(samples))
    own = []
    for place, (start, stop) in enumerate(spans):
        first = start + (stride if place else 0)
        last = stop - (stride if place < len(spans) - 1 else 0)
        own += range(first, last)
    assert own == list(range(samples))


def test_pieces_are_whole_frames():
    cut = hearing.cut(1.0, 0.1, FACTS, 16_000)
    assert (cut.size, cut.stride) == (16_000, 1600)
    cut = hearing.cut(1.01, 0.015, FACTS, 16_000)
    assert (cut.size, cut.stride) == (50 * 320, 320)


def test_pieces_without_a_sample_of_their_own_are_refused():
    with pytest.raises(ConfigError, match=r"options\.stride_seconds: 1 s"):
        hearing.cut(2.0, 1.0, FACTS, 16_000)


@pytest.mark.parametrize(
    ("config", "stride", "shortest", "maskable", "frames"),
    [
        (transformers.Wav2Vec2Config(), 320, 400, False, 1),
        (transformers.Wav2Vec2Config(feat_extract_norm="layer"), 320, 400, True, 1),
        (transformers.Wav2Vec2Config(add_adapter=True), 320, 400, False, 8),
        (transformers.WavLMConfig(feat_extract_norm="layer", add_adapter=True), 320, 400, False, 8),
        (transformers.HubertConfig(feat_extract_norm="layer"), 320, 400, True, 1),
        (transformers.Data2VecAudioConfig(), 320, 400, False, 1),
        (transformers.SEWConfig(), 320, 720, False, 1),
    ],
)
def test_what_the_config_says_of_samples(config, stride, shortest, maskable, frames):
    """Spans of ten frames are masked in training: 400 samples, and nine more of a stride each."""
    span = 400 + 9 * stride
    assert sound_facts(config) == SoundFacts(
        stride=stride, shortest=shortest, maskable=maskable, span=span, frames=frames
    )


@pytest.mark.parametrize(
    "config",
    [transformers.ASTConfig(), transformers.WhisperConfig(), transformers.Wav2Vec2BertConfig()],
)
def test_models_that_see_a_spectrogram_hear_no_samples(config):
    assert sound_facts(config) is None
