"""audio-classification equals the model row by row, whatever shares a microbatch."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import transformers

from labelmill.errors import ConfigError
from labelmill.tasks.audio_classification import AudioClassification
from labelmill.tasks.audio_classification import AudioClassificationOptions as Options
from tests.support.audio_models import HEARERS, RATE, file, tiny_audio_classifier, tone
from tests.support.labelling import columns, known, label

# WavLM gives torch two masks of unlike types.
pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched:UserWarning")
DIGITS = Path(__file__).parents[3] / "shared" / "data" / "fsdd" / "train_900.parquet"
TASK = AudioClassification()
CLASSIFIERS = [*(name for name in HEARERS if name != "wav2vec2-adapter"), "ast", "whisper"]
WORKS = {TASK.name: CLASSIFIERS}
SECONDS = [0.5, 1.0, 0.06, 2.3, 1.0, 0.7, 1.9]
SOUNDS = [tone(seconds, seed) for seed, seconds in enumerate(SECONDS)]
FILES = [file(sound) for sound in SOUNDS]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    made: dict[Any, str] = {}

    def make(architecture: str = "wav2vec2-layer", **settings: Any) -> str:
        key = (architecture, *sorted(settings.items()))
        if key not in made:
            directory = tmp_path_factory.mktemp("hearer")
            made[key] = tiny_audio_classifier(directory, architecture, **settings)
        return made[key]

    return make


def plain(path: str, sounds: list[Any]) -> list[Any]:
    """The obvious way, see `logits`; softmax."""
    return [torch.tensor(one).softmax(-1).numpy() for one in logits(path, sounds)]


def logits(path: str, sounds: list[Any]) -> list[Any]:
    """One sound after another through feature extractor and model."""
    extractor = transformers.AutoFeatureExtractor.from_pretrained(path)
    model = transformers.AutoModelForAudioClassification.from_pretrained(path).eval()
    found = []
    for sound in sounds:
        inputs = extractor(sound, sampling_rate=RATE, return_tensors="pt")
        with torch.inference_mode():
            found.append(model(**inputs).logits[0].double().numpy())
    return found


def scores(table: pa.Table) -> Any:
    rows = table["scores"].to_pylist()
    return np.array(
        [[one["score"] for one in sorted(row, key=lambda one: one["label"])] for row in rows]
    )


@pytest.mark.parametrize("architecture", CLASSIFIERS)
@pytest.mark.parametrize("budget", [1, 64, 10**9])
def test_scores_equal_the_model_row_by_row(tiny, architecture, budget):
    path = tiny(architecture)
    table = label(path, TASK, {"audio": FILES}, Options(scores="all"), budget=budget)
    expected = np.array(plain(path, SOUNDS))
    np.testing.assert_allclose(scores(table), expected, atol=1e-5)
    assert table["label"].to_pylist() == [f"sound {'abc'[best]}" for best in expected.argmax(1)]
    assert len({round(float(score), 4) for score in expected[:, 0]}) > 4  # else it proves little


@pytest.mark.parametrize("architecture", CLASSIFIERS)
def test_agrees_with_the_pipeline(tiny, architecture):
    path = tiny(architecture)
    classify = transformers.pipeline("audio-classification", path, device="cpu")
    table = label(path, TASK, {"audio": FILES}, Options(scores="all"))
    for row, sound in zip(table.to_pylist(), SOUNDS, strict=True):
        expected = classify(sound, top_k=3)
        assert [one["label"] for one in row["scores"]] == [one["label"] for one in expected]
        for ours, theirs in zip(row["scores"], expected, strict=True):
            assert ours["score"] == pytest.approx(theirs["score"], abs=1e-5)


@pytest.mark.parametrize("architecture", ["wav2vec2-group", "wav2vec2-layer", "ast"])
def test_pieces_are_weighed_by_their_length(tiny, architecture):
    path = tiny(architecture)
    table = label(path, TASK, {"audio": FILES}, Options(scores="all", chunk_seconds=0.8))
    for found, sound in zip(scores(table), SOUNDS, strict=True):
        # Frames of wav2vec2 are 20 ms, so pieces of 0.8 s are whole frames.
        pieces = [sound[start : start + 12_800] for start in range(0, len(sound), 12_800)]
        weights = [len(piece) for piece in pieces]
        expected = np.average(plain(path, pieces), axis=0, weights=weights)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_bad_sounds_are_errors_and_cost_no_good_ones(tiny):
    path = tiny()
    files = [b"", FILES[0], b"no sound", FILES[3], file(SOUNDS[0][:399]), FILES[3][:9000]]
    facts, processor = known(path, TASK.processor)
    encoded = TASK.encode(columns({"audio": files}), processor, facts, Options())
    assert sorted(encoded.errors) == [0, 2, 4, 5]
    assert "at 16000 Hz" in encoded.errors[4]
    table = label(path, TASK, {"audio": files}, Options())
    good = label(path, TASK, {"audio": [FILES[0], FILES[3]]}, Options())
    assert table.take([1, 3]) == good
    assert table["label"].is_null().to_pylist() == [True, False, True, False, True, True]


def test_a_sound_beyond_max_seconds_is_an_error(tiny):
    facts, processor = known(tiny(), TASK.processor)
    encoded = TASK.encode(columns({"audio": FILES}), processor, facts, Options(max_seconds=1.5))
    assert sorted(encoded.errors) == [3, 6]


def test_scores_k_are_the_head_of_all(tiny):
    whole = label(tiny(), TASK, {"audio": FILES}, Options(scores="all"))["scores"].to_pylist()
    best_two = label(tiny(), TASK, {"audio": FILES}, Options(scores=2))["scores"].to_pylist()
    assert best_two == [row[:2] for row in whole]


def test_labels_threshold_and_problem_type_of_the_job_win(tiny):
    options = Options(
        labels=("x", "y", "z"), problem_type="multi_label_classification", threshold={"y": 0.9}
    )
    found = label(tiny(), TASK, {"audio": FILES}, options)["label"].to_pylist()
    for given, raw in zip(found, logits(tiny(), SOUNDS), strict=True):
        expected = 1 / (1 + np.exp(-raw)) >= [0.5, 0.9, 0.5]
        assert set(given) == {name for name, good in zip("xyz", expected, strict=True) if good}


def test_other_rates_formats_and_channels_end_up_alike(tiny):
    """Resampling and lossy formats change a little, not the label."""
    path = tiny("hubert-group")
    sound = tone(2, 5, rate=48_000)
    stereo = np.stack([sound, sound], axis=1)
    files = [file(stereo, name, rate=48_000) for name in ("WAV", "FLAC", "OGG", "MP3")]
    table = label(path, TASK, {"audio": files}, Options())
    assert len(set(table["label"].to_pylist())) == 1
    assert np.ptp(table["score"].to_numpy()) < 0.1


@pytest.mark.parametrize("labels", [1, 3])
@pytest.mark.parametrize("problem", [None, "multi_label_classification", "regression"])
@pytest.mark.parametrize("listed", ["best", "all", 2])
def test_columns_are_those_of_the_schema(tiny, labels, problem, listed):
    path = tiny("wav2vec2-layer", labels=labels, problem_type=problem)
    facts, _ = known(path, TASK.processor)
    if facts.problem_type == "regression" and listed != "best":
        with pytest.raises(ConfigError, match=r"options\.scores"):
            TASK.schema(facts, Options(scores=listed))
        return
    schema = TASK.schema(facts, Options(scores=listed))
    for files in (FILES, [b"x"], [FILES[0]]):
        table = label(path, TASK, {"audio": files}, Options(scores=listed))
        assert table.schema == schema
        assert table.num_rows == len(files)


def test_a_spectrogram_of_many_shapes_is_refused():
    """w2v-BERT makes one of the sound's own length."""
    from labelmill.batch import ModelFacts
    from labelmill.errors import ModelError

    facts = ModelFacts(
        model_type="wav2vec2-bert",
        architecture="Wav2Vec2BertForSequenceClassification",
        labels=("a",),
        problem_type=None,
        max_length=None,
        pad_token_id=0,
    )
    extractor = transformers.SeamlessM4TFeatureExtractor()
    for files in (FILES, FILES[:1]):  # sounds of one length, too, would want their mask
        with pytest.raises(ModelError, match="this kind of model is not supported"):
            TASK.encode(columns({"audio": files}), extractor, facts, Options())


@pytest.mark.skipif(not DIGITS.is_file(), reason="the spoken digits are not on this machine")
def test_spoken_digits_are_decoded_as_soundfile_decodes_them(tiny):
    import io

    import soundfile
    import soxr

    path = tiny("hubert-layer")
    files = pq.read_table(DIGITS)["audio"].slice(0, 12).to_pylist()
    sounds = []
    for one in files:
        sound, rate = soundfile.read(io.BytesIO(one), dtype="float32")
        sounds.append(soxr.resample(sound, rate, RATE))
    table = label(path, TASK, {"audio": files}, Options(scores="all"))
    np.testing.assert_allclose(scores(table), plain(path, sounds), atol=1e-4)
