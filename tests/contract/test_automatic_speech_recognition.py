"""automatic-speech-recognition writes what the model and transformers' own pipeline write."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers

from labelmill.errors import ConfigError, ModelError
from labelmill.tasks import is_checked, model_class
from labelmill.tasks.automatic_speech_recognition import AutomaticSpeechRecognition
from labelmill.tasks.automatic_speech_recognition import (
    AutomaticSpeechRecognitionOptions as Options,
)
from tests.support.audio_models import (
    HEARERS,
    RATE,
    file,
    tiny_audio_classifier,
    tiny_ctc,
    tiny_whisper,
    tone,
)
from tests.support.labelling import columns, known, label

pytestmark = [
    # WavLM gives torch two masks of unlike types.
    pytest.mark.filterwarnings("ignore:Support for mismatched:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*ignore_warning.*"),
]
TASK = AutomaticSpeechRecognition()
WHISPERS = {"whisper": True, "whisper-english": False}  # whether it knows more languages
WORKS = {TASK.name: (*HEARERS, *WHISPERS)}
SECONDS = [0.5, 1.0, 0.06, 1.8, 1.0, 0.7, 1.9]
SOUNDS = [tone(seconds, seed) for seed, seconds in enumerate(SECONDS)]
FILES = [file(sound) for sound in SOUNDS]
LONG = [tone(seconds, seed) for seed, seconds in enumerate([7.3, 4.0, 1.0, 6.0, 2.01])]
LONG_FILES = [file(sound) for sound in LONG]
# What a window of the tiny Whisper holds.
SHORT = {"chunk_seconds": 2}


@pytest.fixture(scope="session")
def ctc(tmp_path_factory):
    made: dict[Any, str] = {}

    def make(architecture: str = "wavlm", **tokenizer: Any) -> str:
        key = (architecture, *sorted(tokenizer.items()))
        if key not in made:
            made[key] = tiny_ctc(tmp_path_factory.mktemp("ctc"), architecture, **tokenizer)
        return made[key]

    return make


@pytest.fixture(scope="session")
def whisper(tmp_path_factory):
    made: dict[Any, str] = {}

    def make(*, multilingual: bool = True, times: bool = False) -> str:
        key = (multilingual, times)
        if key not in made:
            directory = tmp_path_factory.mktemp("whisper")
            made[key] = tiny_whisper(directory, multilingual=multilingual, times=times)
        return made[key]

    return make


def pipeline(path: str) -> Any:
    return transformers.pipeline("automatic-speech-recognition", path, device="cpu")


def assert_as_the_pipeline(table: pa.Table, expected: list[Any]) -> None:
    assert table["transcript"].to_pylist() == [one["text"].strip() for one in expected]
    if "chunks" not in table.column_names:
        return
    for ours, theirs in zip(table["chunks"].to_pylist(), expected, strict=True):
        assert [one["text"].strip() for one in ours] == [
            one["text"].strip() for one in theirs["chunks"]
        ]
        for one, other in zip(ours, theirs["chunks"], strict=True):
            start, end = other["timestamp"]
            # The pipeline knows no start where one time ended what was before.
            assert start is None or one["start"] == pytest.approx(start, abs=1e-9)
            assert one["end"] == (end if end is None else pytest.approx(end, abs=1e-9))


@pytest.mark.parametrize("architecture", HEARERS)
@pytest.mark.parametrize("budget", [1, 64, 10**9])
def test_ctc_equals_the_model_row_by_row(ctc, architecture, budget):
    path = ctc(architecture)
    processor = transformers.AutoProcessor.from_pretrained(path)
    model = transformers.AutoModelForCTC.from_pretrained(path).eval()
    expected = []
    for sound in SOUNDS:
        inputs = processor(sound, sampling_rate=RATE, return_tensors="pt")
        with torch.inference_mode():
            expected.append(processor.decode(model(**inputs).logits[0].argmax(-1)))
    table = label(path, TASK, {"audio": FILES}, Options(), budget=budget)
    assert table["transcript"].to_pylist() == expected


@pytest.mark.parametrize("architecture", ["wav2vec2-group", "hubert-group", "wavlm", "sew"])
def test_ctc_transcripts_differ_between_the_sounds(ctc, architecture):
    """Else the other tests would prove little."""
    table = label(ctc(architecture), TASK, {"audio": FILES}, Options())
    assert len(set(table["transcript"].to_pylist())) > 5
    assert any(" " in text or len(text) > 20 for text in table["transcript"].to_pylist())


@pytest.mark.parametrize("architecture", ["wav2vec2-group", "hubert-layer", "wavlm", "sew"])
@pytest.mark.parametrize("timestamps", ["char", "word"])
def test_ctc_times_agree_with_the_pipeline(ctc, architecture, timestamps):
    path = ctc(architecture)
    table = label(path, TASK, {"audio": FILES}, Options(timestamps=timestamps))
    recognize = pipeline(path)
    expected = [recognize(sound.copy(), return_timestamps=timestamps) for sound in SOUNDS]
    assert_as_the_pipeline(table, expected)
    assert any(len(one["chunks"]) > 3 for one in expected) or timestamps == "word"


@pytest.mark.parametrize("architecture", ["wav2vec2-group", "hubert-layer"])
@pytest.mark.parametrize(("chunk", "stride"), [(2, None), (1.5, 0.2), (3, 0.5), (30, None)])
def test_ctc_of_long_sounds_agrees_with_the_pipeline(ctc, architecture, chunk, stride):
    path = ctc(architecture)
    options = Options(timestamps="word", chunk_seconds=chunk, stride_seconds=stride)
    table = label(path, TASK, {"audio": LONG_FILES}, options)
    recognize = pipeline(path)
    expected = [
        recognize(
            sound.copy(), chunk_length_s=chunk, stride_length_s=stride, return_timestamps="word"
        )
        for sound in LONG
    ]
    assert_as_the_pipeline(table, expected)


def test_ctc_behind_an_adapter_counts_its_own_answers(ctc):
    """The pipeline counts frames, of which the adapter makes one of eight."""
    path, answer = ctc("wav2vec2-adapter"), 8 * 320
    options = Options(timestamps="char", chunk_seconds=2)
    table = label(path, TASK, {"audio": LONG_FILES}, options)
    processor = transformers.AutoProcessor.from_pretrained(path)
    model = transformers.AutoModelForCTC.from_pretrained(path).eval()
    for row, sound in enumerate(LONG):
        ids = []
        for start in range(0, len(sound) - 4 * answer, 8 * answer):  # 12, and 2 at either end
            piece = sound[start : start + 12 * answer]
            inputs = processor(piece, sampling_rate=RATE, return_tensors="pt")
            with torch.inference_mode():
                heard = model(**inputs).logits[0].argmax(-1).tolist()
            whole = start + len(piece) == len(sound)
            ids += heard[2 if start else 0 : None if whole else 10]
        assert table["transcript"][row].as_py() == processor.decode(ids)
        last = table["chunks"][row].as_py()[-1]["end"]
        assert len(sound) / RATE - 1 < last < (len(sound) + answer) / RATE


@pytest.mark.parametrize(
    "tokenizer",
    [
        {"do_lower_case": True},
        {"word_delimiter_token": "E", "replace_word_delimiter_char": "_"},
        {"pad_token": "K"},
        {"clean_up_tokenization_spaces": True, "word_delimiter_token": "E"},
    ],
)
def test_ctc_obeys_the_tokenizer(ctc, tokenizer):
    path = ctc("hubert-group", **tokenizer)
    table = label(path, TASK, {"audio": FILES}, Options())
    assert_as_the_pipeline(table, [pipeline(path)(sound.copy()) for sound in SOUNDS])


@pytest.mark.parametrize("architecture", WHISPERS)
@pytest.mark.parametrize("budget", [1, 10**9])
def test_whisper_agrees_with_the_pipeline(whisper, architecture, budget):
    multilingual = WHISPERS[architecture]
    path = whisper(multilingual=multilingual)
    table = label(path, TASK, {"audio": FILES}, Options(**SHORT), budget=budget)
    recognize = pipeline(path)
    more = {"task": "transcribe"} if multilingual else {}
    expected = [
        recognize(sound.copy(), generate_kwargs={"num_beams": 1, "max_new_tokens": 36, **more})
        for sound in SOUNDS
    ]
    assert_as_the_pipeline(table, expected)
    assert len({one["text"] for one in expected}) > 5  # else it proves little


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({"language": "de"}, {"language": "de", "task": "transcribe"}),
        ({"language": "German"}, {"language": "de", "task": "transcribe"}),
        ({"language": "<|fr|>", "translate": True}, {"language": "fr", "task": "translate"}),
        ({"num_beams": 3}, {"num_beams": 3, "task": "transcribe"}),
        ({"max_new_tokens": 5}, {"max_new_tokens": 5, "task": "transcribe"}),
    ],
)
def test_whisper_is_asked_as_the_options_say(whisper, options, asked):
    path = whisper()
    table = label(path, TASK, {"audio": FILES}, Options(**SHORT, **options))
    recognize = pipeline(path)
    settings = {"num_beams": 1, "max_new_tokens": 36, **asked}
    expected = [recognize(sound.copy(), generate_kwargs=settings) for sound in SOUNDS]
    assert_as_the_pipeline(table, expected)
    assert table != label(path, TASK, {"audio": FILES}, Options(**SHORT))


def test_whisper_tuned_for_a_language_is_asked_for_it(whisper, tmp_path):
    """As checkpoints say it that are older than the settings `language` and `task`."""
    path = tiny_whisper(tmp_path, times=False)
    place = tmp_path / "generation_config.json"
    config = json.loads(place.read_text())
    forced = [[1, config["lang_to_id"]["<|fr|>"]], [2, config["task_to_id"]["translate"]]]
    place.write_text(json.dumps(config | {"forced_decoder_ids": forced}))
    table = label(path, TASK, {"audio": FILES}, Options(**SHORT))
    recognize = pipeline(path)
    settings = {"num_beams": 1, "max_new_tokens": 36}
    expected = [recognize(sound.copy(), generate_kwargs=settings) for sound in SOUNDS]
    assert_as_the_pipeline(table, expected)
    assert table != label(whisper(), TASK, {"audio": FILES}, Options(**SHORT))


@pytest.mark.parametrize(
    "lost", [{"lang_to_id", "task_to_id", "is_multilingual"}, {"task_to_id", "eos_token_id"}]
)
def test_whisper_that_does_not_name_its_languages_begins_by_itself(tmp_path, lost):
    path = tiny_whisper(tmp_path, times=False)
    place = tmp_path / "generation_config.json"
    kept = {name: one for name, one in json.loads(place.read_text()).items() if name not in lost}
    place.write_text(json.dumps(kept))
    how = {"num_beams": 1, "max_new_tokens": 20}
    table = label(path, TASK, {"audio": FILES[:2]}, Options(**SHORT, **how))
    recognize = pipeline(path)
    expected = [recognize(one.copy(), generate_kwargs=how)["text"] for one in SOUNDS[:2]]
    assert table["transcript"].to_pylist() == [one.strip() for one in expected]
    for name, value in [("language", "en"), ("translate", True)]:
        with pytest.raises(ConfigError, match=rf"options\.{name}: .* 'task_to_id'"):
            label(path, TASK, {"audio": FILES[:1]}, Options(**SHORT, **{name: value}))


def test_whisper_segments_agree_with_the_pipeline(whisper):
    """With one call a window, as here; without, it asks the model again about the silence after."""
    path = whisper(times=True)
    table = label(path, TASK, {"audio": FILES}, Options(**SHORT, timestamps="segment"))
    recognize = pipeline(path)
    settings = {
        "num_beams": 1,
        "max_new_tokens": 36,
        "task": "transcribe",
        "force_unique_generate_call": True,
    }
    expected = [
        recognize(sound.copy(), return_timestamps=True, generate_kwargs=settings)
        for sound in SOUNDS
    ]
    assert_as_the_pipeline(table, expected)
    assert any(len(one["chunks"]) > 2 for one in expected)


def test_whisper_of_long_sounds_agrees_with_the_pipeline(whisper):
    path = whisper()
    options = Options(chunk_seconds=2, stride_seconds=0.4)
    table = label(path, TASK, {"audio": LONG_FILES}, options)
    recognize = pipeline(path)
    settings = {"num_beams": 1, "max_new_tokens": 36, "task": "transcribe"}
    expected = [
        recognize(
            sound.copy(),
            chunk_length_s=2,
            stride_length_s=0.4,
            generate_kwargs=settings,
            ignore_warning=True,
        )
        for sound in LONG
    ]
    assert_as_the_pipeline(table, expected)


def test_whisper_segments_of_a_long_sound_are_in_order_and_within_it(whisper):
    options = Options(**SHORT, timestamps="segment")
    table = label(whisper(times=True), TASK, {"audio": LONG_FILES}, options)
    for row, sound in zip(table.to_pylist(), LONG, strict=True):
        starts = [one["start"] for one in row["chunks"]]
        assert starts == sorted(starts)
        assert starts[-1] < len(sound) / RATE + 2
        assert all(one["end"] is None or one["start"] < one["end"] for one in row["chunks"])
        spoken = "".join(one["text"] for one in row["chunks"])
        assert row["transcript"].replace(" ", "") == spoken.replace(" ", "")


@pytest.mark.parametrize("timestamps", ["none", "char", "word"])
def test_columns_of_ctc_are_those_of_the_schema(ctc, timestamps):
    path = ctc()
    schema = TASK.schema(known(path, TASK.processor)[0], Options(timestamps=timestamps))
    for files in (FILES, [b"x"], [FILES[0], b""]):
        table = label(path, TASK, {"audio": files}, Options(timestamps=timestamps))
        assert table.schema == schema
        assert table.num_rows == len(files)


@pytest.mark.parametrize("timestamps", ["none", "segment"])
def test_columns_of_whisper_are_those_of_the_schema(whisper, timestamps):
    options = Options(**SHORT, timestamps=timestamps)
    path = whisper(times=True)
    schema = TASK.schema(known(path, TASK.processor)[0], options)
    table = label(path, TASK, {"audio": [b"", FILES[0]]}, options)
    assert table.schema == schema
    assert table["transcript"].is_null().to_pylist() == [True, False]


def test_bad_sounds_are_errors_and_cost_no_good_ones(ctc):
    path = ctc()
    files = [b"", FILES[0], b"no sound", FILES[3], file(SOUNDS[0][:399])]
    facts, processor = known(path, TASK.processor)
    assert sorted(TASK.encode(columns({"audio": files}), processor, facts, Options()).errors) == [
        0,
        2,
        4,
    ]
    table = label(path, TASK, {"audio": files}, Options())
    good = label(path, TASK, {"audio": [FILES[0], FILES[3]]}, Options())
    assert table.take([1, 3]) == good
    assert table["transcript"].is_null().to_pylist() == [True, False, True, False, True]


def test_a_sound_beyond_max_seconds_is_an_error(ctc):
    facts, processor = known(ctc(), TASK.processor)
    encoded = TASK.encode(columns({"audio": FILES}), processor, facts, Options(max_seconds=1.5))
    assert sorted(encoded.errors) == [3, 6]


@pytest.mark.parametrize(
    "options",
    [
        {"timestamps": "segment"},
        {"language": "en"},
        {"translate": True},
        {"num_beams": 2},
        {"max_new_tokens": 3},
    ],
)
def test_ctc_refuses_what_would_do_nothing(ctc, options):
    facts, _ = known(ctc(), TASK.processor)
    with pytest.raises(ConfigError, match=f"options.{next(iter(options))}"):
        TASK.schema(facts, Options(**options))


@pytest.mark.parametrize("timestamps", ["char", "word"])
def test_whisper_refuses_times_that_it_does_not_give(whisper, timestamps):
    facts, _ = known(whisper(), TASK.processor)
    with pytest.raises(ConfigError, match=r"options\.timestamps.*'none' or 'segment'"):
        TASK.schema(facts, Options(timestamps=timestamps))


@pytest.mark.parametrize(
    ("multilingual", "options", "words"),
    [
        (True, {"language": "es"}, "known are de, en, fr"),
        (True, {"max_new_tokens": 37}, "lower it to 36"),
        (True, {"chunk_seconds": 30}, "hears at once"),
        (True, {"stride_seconds": 1}, "stride_seconds"),
        (False, {"language": "en"}, r"options\.language.*English alone"),
        (False, {"translate": True}, r"options\.translate.*English alone"),
    ],
)
def test_whisper_refuses_what_the_checkpoint_does_not_have(whisper, multilingual, options, words):
    with pytest.raises(ConfigError, match=words):
        label(
            whisper(multilingual=multilingual),
            TASK,
            {"audio": FILES[:1]},
            Options(**{**SHORT, **options}),
        )


def test_the_class_depends_on_the_checkpoint(ctc, whisper, tmp_path):
    for path, expected in [(ctc(), "AutoModelForCTC"), (whisper(), "AutoModelForSpeechSeq2Seq")]:
        assert model_class(TASK, known(path, TASK.processor)[0], Options()) == expected
    facts, _ = known(tiny_audio_classifier(tmp_path, "ast"), "AutoFeatureExtractor")
    with pytest.raises(ModelError, match="expected Whisper, or a CTC model"):
        TASK.schema(facts, Options())


def test_only_what_ctc_spells_is_checked(ctc, whisper):
    assert is_checked(TASK, known(ctc(), TASK.processor)[0])
    assert not is_checked(TASK, known(whisper(), TASK.processor)[0])


def test_nearly_equal_transcripts_agree():
    ours = pa.table({"transcript": ["the quick brown fox", "one two", None, ""]})
    other = pa.table({"transcript": ["the quick brown fax", "six", None, ""]})
    assert TASK.agrees(ours, other).tolist() == [True, False, True, True]


def test_silence_is_an_empty_or_any_text_but_never_null(ctc, whisper):
    silence = [file(np.zeros(RATE, np.float32))]
    assert label(ctc(), TASK, {"audio": silence}, Options())["transcript"].null_count == 0
    assert (
        label(whisper(), TASK, {"audio": silence}, Options(**SHORT))["transcript"].null_count == 0
    )
