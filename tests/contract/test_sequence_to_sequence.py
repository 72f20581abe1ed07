"""summarization and translation: `generate` of transformers row by row, in any company."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers

from labelmill.errors import ConfigError, ModelError
from labelmill.ops.passages import passages
from labelmill.ops.writing import counter
from labelmill.tasks.summarization import Summarization, SummarizationOptions
from labelmill.tasks.translation import Translation, TranslationOptions
from tests.support.labelling import columns, known, label
from tests.support.writing_models import (
    ENCODER_DECODERS,
    LANGUAGES,
    TRANSLATE,
    tiny_encoder_decoder,
)

SUMMARIZE, TRANSLATION = Summarization(), Translation()
SUMMARIZERS = ("t5", "bart", "pegasus", "marian")
WORKS = {SUMMARIZE.name: SUMMARIZERS, TRANSLATION.name: ENCODER_DECODERS}
TEXTS = [
    "The cat sat on the mat.",
    "",
    "Der Hund lief durch den Garten! Und dann?",
    " ",
    "It was a warm day, and nobody spoke. " * 12,
    "\U0001f600\U0001f468\u200d\U0001f469 emoji",
    "e\u0301 combining a\u0323\u0307",
    "\u0634\u0643\u0631\u0627 \u05e9\u05dc\u05d5\u05dd",
    "\u4f60\u597d\u4e16\u754c\u3002",
    "a\x00b \x07\ufffe\u200b",
    "</s> <pad> the end",
    "The cat sat on the mat.",
]
Maker = Callable[..., str]
# Marian's tokenizer asks for a normalizer of punctuation that need not be installed.
pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Maker:
    made: dict[str, str] = {}

    def make(architecture: str) -> str:
        if architecture not in made:
            made[architecture] = tiny_encoder_decoder(
                tmp_path_factory.mktemp(architecture), architecture
            )
        return made[architecture]

    return make


def plain(path: str, texts: list[str], *, source: str | None = None, **settings: Any) -> list[str]:
    """The obvious way: one row after another through tokenizer and `generate`."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    if source is not None:
        tokenizer.src_lang = source
    most = known(path)[0].max_length
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(path).eval()
    written = []
    for text in texts:
        inputs = tokenizer(text, truncation=True, max_length=most, return_tensors="pt")
        ids = inputs["input_ids"]
        with torch.no_grad():
            new = model.generate(ids, attention_mask=torch.ones_like(ids), **settings)[0]
        # M2M100's tokenizer does not take its languages for special tokens.
        languages = getattr(tokenizer, "lang_code_to_id", {}).values()
        kept = [one for one in new.tolist() if one not in languages]
        written.append(tokenizer.decode(kept, skip_special_tokens=True))
    return written


def chosen(architecture: str) -> dict[str, str | None]:
    source, target = LANGUAGES.get(architecture, (None, None))
    return {"source_language": source, "target_language": target}


# Equality


@pytest.mark.parametrize("architecture", SUMMARIZERS)
@pytest.mark.parametrize("num_beams", [1, 3])
def test_summaries_equal_generate_row_by_row(tiny, architecture, num_beams):
    path = tiny(architecture)
    prefix = "summarize: " if architecture == "t5" else ""
    options = SummarizationOptions(max_new_tokens=16, num_beams=num_beams)
    table = label(path, SUMMARIZE, {"text": TEXTS}, options, budget=10**9)
    expected = plain(path, [prefix + one for one in TEXTS], max_new_tokens=16, num_beams=num_beams)
    assert table["summary"].to_pylist() == expected
    assert table.schema == SUMMARIZE.schema(known(path)[0], options)
    table.validate(full=True)


def test_checkpoint_that_gives_several_texts_gives_each_row_its_best(tmp_path):
    path = tiny_encoder_decoder(tmp_path, "bart")
    place = tmp_path / "generation_config.json"
    several = {"num_beams": 3, "num_return_sequences": 2}
    place.write_text(json.dumps(json.loads(place.read_text()) | several))
    options = SummarizationOptions(max_new_tokens=16, prefix="")
    found = label(path, SUMMARIZE, {"text": TEXTS}, options, budget=10**9)
    expected = plain(path, TEXTS, max_new_tokens=16, num_return_sequences=1)
    assert found["summary"].to_pylist() == expected


def test_checkpoint_without_a_token_to_begin_with_is_refused_when_it_is_loaded(tmp_path):
    path = tiny_encoder_decoder(tmp_path, "t5")
    for place in tmp_path.glob("*config.json"):
        told = json.loads(place.read_text())
        told.pop("decoder_start_token_id", None)
        place.write_text(json.dumps(told))
    with pytest.raises(ModelError, match="names no token that what it writes begins with"):
        label(path, SUMMARIZE, {"text": TEXTS}, SummarizationOptions(prefix=""))


@pytest.mark.parametrize("architecture", SUMMARIZERS)
def test_settings_are_those_of_generate(tiny, architecture):
    path = tiny(architecture)
    how = {"min_new_tokens": 5, "repetition_penalty": 1.3, "no_repeat_ngram_size": 2}
    options = SummarizationOptions(max_new_tokens=16, prefix="", num_beams=1, **how)
    found = label(path, SUMMARIZE, {"text": TEXTS}, options, budget=10**9)
    expected = plain(path, TEXTS, max_new_tokens=16, **how)
    assert found["summary"].to_pylist() == expected
    beams = SummarizationOptions(max_new_tokens=16, prefix="", num_beams=2, length_penalty=2.5)
    found = label(path, SUMMARIZE, {"text": TEXTS}, beams, budget=10**9)
    expected = plain(path, TEXTS, max_new_tokens=16, num_beams=2, length_penalty=2.5)
    assert found["summary"].to_pylist() == expected


@pytest.mark.parametrize("architecture", ENCODER_DECODERS)
def test_translations_equal_generate_row_by_row(tiny, architecture):
    path = tiny(architecture)
    source, target = LANGUAGES.get(architecture, (None, None))
    options = TranslationOptions(max_new_tokens=12, num_beams=1, **chosen(architecture))
    found = label(path, TRANSLATION, {"text": TEXTS}, options, budget=10**9)
    tokenizer, how = transformers.AutoTokenizer.from_pretrained(path), {}
    texts = TEXTS
    if architecture == "t5":
        texts, source = [TRANSLATE + one for one in TEXTS], None
    elif architecture == "marian-many":
        texts = [f">>deu<< {one}" for one in TEXTS]
    elif architecture == "m2m100":
        how = {"forced_bos_token_id": tokenizer.get_lang_id(target)}
    elif architecture == "nllb":
        how = {"forced_bos_token_id": tokenizer.convert_tokens_to_ids(target)}
    elif architecture == "mbart":
        how = {"decoder_start_token_id": tokenizer.convert_tokens_to_ids(target)}
    expected = plain(path, texts, source=source, max_new_tokens=12, num_beams=1, **how)
    assert found["translation"].to_pylist() == expected
    assert len(set(expected)) >= 3


def test_a_pair_without_a_sentence_does_not_choose_the_languages(tiny):
    facts, processor = known(tiny("mbart"))
    pair = {"translation_en_to_ro": {"decoder_start_token_id": 250020}}  # as mBART's own say
    named = replace(facts, writing=replace(facts.writing, by_task=pair))
    options = TranslationOptions(**chosen("mbart"))
    given = columns({"text": TEXTS[:1]})
    for one in (named, facts):
        TRANSLATION.schema(one, options)
        processor.src_lang = "en_XX"
        encoded = TRANSLATION.encode(given, processor, one, options)
        assert processor.convert_ids_to_tokens(encoded.inputs["input_ids"].tolist())[-1] == "de_DE"
        assert TRANSLATION.readout(processor, one, options).settings == {
            "decoder_start_token_id": processor.convert_tokens_to_ids("fr_XX")
        }


def test_settings_of_a_translation_are_those_of_generate(tiny):
    path = tiny("marian")
    greedy = {"min_new_tokens": 5, "repetition_penalty": 1.3, "no_repeat_ngram_size": 2}
    for how in (greedy | {"num_beams": 1}, {"num_beams": 2, "length_penalty": 2.5}):
        options = TranslationOptions(max_new_tokens=16, prefix="the: ", **how)
        found = label(path, TRANSLATION, {"text": TEXTS}, options, budget=10**9)
        expected = plain(path, [f"the: {one}" for one in TEXTS], max_new_tokens=16, **how)
        assert found["translation"].to_pylist() == expected


def test_a_long_text_is_translated_piece_by_piece_or_cut(tiny):
    path, how = tiny("marian"), {"max_new_tokens": 8, "num_beams": 1, "max_length": 20}
    facts, processor = known(path)
    fields = columns({"text": TEXTS[4:5]})
    cut = TRANSLATION.encode(fields, processor, facts, TranslationOptions(**how))
    assert cut.lengths.tolist() == [20]
    options = TranslationOptions(**how, long_text="window")
    encoded = TRANSLATION.encode(fields, processor, facts, options)
    assert encoded.lengths.max() <= 20 < encoded.lengths.sum()
    pieces = passages(TEXTS[4], 20 - processor.num_special_tokens_to_add(), counter(processor))
    apart = plain(path, pieces, max_new_tokens=8, num_beams=1)
    (row,) = label(path, TRANSLATION, {"text": TEXTS[4:5]}, options).to_pylist()
    assert row["translation"] == " ".join(one.strip() for one in apart).strip()


@pytest.mark.parametrize("architecture", ENCODER_DECODERS)
def test_any_microbatch_and_order_gives_the_same_translation(tiny, architecture):
    path = tiny(architecture)
    for beams in (1, 2):
        options = TranslationOptions(max_new_tokens=8, num_beams=beams, **chosen(architecture))
        wanted = label(path, TRANSLATION, {"text": TEXTS}, options, budget=1)
        for budget in (64, 10**9):
            assert label(path, TRANSLATION, {"text": TEXTS}, options, budget=budget) == wanted
        backward = label(path, TRANSLATION, {"text": TEXTS[::-1]}, options, budget=10**9)
        assert backward["translation"].to_pylist() == wanted["translation"].to_pylist()[::-1]


# The checkpoint's own word


def test_what_is_null_is_as_the_checkpoint_says_for_the_task(tiny):
    facts, processor = known(tiny("t5"))
    summary = SUMMARIZE.readout(processor, facts, SummarizationOptions())
    assert summary.max_new_tokens == 20  # max_length counts the decoder's start
    assert summary.settings == {"num_beams": 1}
    options = TranslationOptions(source_language="en", target_language="de")
    assert TRANSLATION.readout(processor, facts, options).max_new_tokens == 12
    other = SummarizationOptions(max_new_tokens=7, num_beams=4, length_penalty=0.5)
    chosen_by_job = SUMMARIZE.readout(processor, facts, other)
    assert chosen_by_job.settings == {"num_beams": 4, "length_penalty": 0.5}
    assert chosen_by_job.max_new_tokens == 7


def test_the_checkpoints_prefix_may_be_replaced(tiny):
    facts, processor = known(tiny("t5"))
    given = columns({"text": ["The cat"]})
    own = SUMMARIZE.encode(given, processor, facts, SummarizationOptions())
    other = SUMMARIZE.encode(given, processor, facts, SummarizationOptions(prefix="abc: "))
    assert own.inputs["input_ids"].tolist() == processor("summarize: The cat")["input_ids"]
    assert other.inputs["input_ids"].tolist() == processor("abc: The cat")["input_ids"]


def test_a_checkpoint_that_writes_more_than_it_has_positions_for_writes_those(tiny):
    facts, processor = known(tiny("bart"))
    readout = SUMMARIZE.readout(processor, facts, SummarizationOptions())
    assert readout.max_new_tokens == 63


# Long texts


@pytest.mark.parametrize("architecture", SUMMARIZERS)
def test_windows_are_written_one_by_one_and_joined(tiny, architecture):
    path = tiny(architecture)
    facts, processor = known(path)
    options = SummarizationOptions(
        max_new_tokens=8, num_beams=1, long_text="window", max_length=30, prefix="the: "
    )
    count = counter(processor)
    room = 30 - processor.num_special_tokens_to_add() - count(["the: "])[0]
    pieces = passages(TEXTS[4], room, count)
    assert len(pieces) > 3
    encoded = SUMMARIZE.encode(columns({"text": TEXTS}), processor, facts, options)
    assert encoded.lengths.max() <= 30
    assert (encoded.rows == 4).sum() == len(pieces)
    table = label(path, SUMMARIZE, {"text": TEXTS}, options)
    apart = plain(path, [f"the: {one}" for one in pieces], max_new_tokens=8, num_beams=1)
    joined = " ".join(one.strip() for one in apart).strip()
    assert table["summary"][4].as_py() == joined
    short = plain(path, [f"the: {TEXTS[0]}"], max_new_tokens=8, num_beams=1)
    assert table["summary"][0].as_py() == short[0]


# Options that do not fit


@pytest.mark.parametrize(
    ("architecture", "options", "reason"),
    [
        ("nllb", {"target_language": "fra_Latin"}, "did you mean 'fra_Latn'"),
        ("nllb", {"target_language": "klingon"}, "no language 'klingon'; it has"),
        ("nllb", {}, "writes 202 languages; say which"),
        ("mbart", {"source_language": "en_XX"}, "writes 25 languages"),
        ("bart", {"target_language": "de"}, "cannot be chosen"),
        ("marian", {"target_language": "deu"}, "cannot be chosen"),
        ("marian-many", {"target_language": "deuu"}, "did you mean 'deu'"),
        ("t5", {"source_language": "en", "target_language": "fr"}, "pairs are en to de"),
        ("t5", {}, "pairs are en to de"),
    ],
)
def test_target_languages_that_do_not_fit_are_refused(tiny, architecture, options, reason):
    facts, processor = known(tiny(architecture))
    with pytest.raises(ConfigError, match=reason):
        _opened(processor, facts, TranslationOptions(**options))


def _opened(processor: Any, facts: Any, options: TranslationOptions) -> None:
    TRANSLATION.schema(facts, options)
    TRANSLATION.readout(processor, facts, options)


@pytest.mark.parametrize(
    ("architecture", "code", "reason"),
    [
        ("m2m100", "deu", "no language 'deu'"),
        ("bart", "de", "cannot be chosen"),
        ("marian-many", "eng", "cannot be chosen"),
    ],
)
def test_source_languages_that_do_not_fit_are_refused(tiny, architecture, code, reason):
    facts, processor = known(tiny(architecture))
    options = TranslationOptions(source_language=code, target_language="deu")
    with pytest.raises(ConfigError, match=reason):
        TRANSLATION.encode(columns({"text": ["a"]}), processor, facts, options)


def test_texts_for_many_languages_name_theirs_or_are_errors(tiny):
    facts, processor = known(tiny("marian-many"))
    texts = [">>deu<< The cat", "The cat", ">>xyz<< The cat", ">>fra<< The cat"]
    encoded = TRANSLATION.encode(columns({"text": texts}), processor, facts, TranslationOptions())
    assert encoded.rows.tolist() == [0, 3]
    assert sorted(encoded.errors) == [1, 2]
    assert encoded.inputs["input_ids"][0] == processor.get_vocab()[">>deu<<"]


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"max_length": 65}, "max_length"),
        ({"max_new_tokens": 64}, "max_new_tokens"),
        ({"length_penalty": 2.0}, "length_penalty"),
        ({"length_penalty": 2.0, "num_beams": 1}, "length_penalty"),
    ],
)
def test_options_that_do_not_fit_the_model_are_refused(tiny, options, key):
    facts, _ = known(tiny("bart"))
    with pytest.raises(ConfigError, match=rf"options\.{key}"):
        SUMMARIZE.schema(facts, SummarizationOptions(**options))


def test_a_prefix_without_room_for_text_is_refused(tiny):
    facts, processor = known(tiny("bart"))
    options = SummarizationOptions(long_text="window", max_length=5, prefix="the quick brown fox")
    with pytest.raises(ConfigError, match=r"options\.prefix"):
        SUMMARIZE.encode(columns({"text": ["a"]}), processor, facts, options)
