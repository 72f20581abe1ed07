"""What summarization and translation learn: transformers' own loss, by its own tokens."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

from labelmill.errors import ConfigError
from labelmill.tasks.summarization import Summarization, SummarizationOptions
from labelmill.tasks.translation import Translation, TranslationOptions
from tests.support.labelling import columns, known, label
from tests.support.learning import batch, learned, loss_of, model_of, overfit, sequences
from tests.support.writing_models import (
    ENCODER_DECODERS,
    LANGUAGES,
    TRANSLATE,
    tiny_encoder_decoder,
)

SUMMARIZE, TRANSLATION = Summarization(), Translation()
TEXTS = [
    "The cat sat on the mat.",
    "Der Hund!",
    "It was a warm day. " * 12,
    "caf\u00e9 \u4f60\u597d",
]
ANSWERS = ["the cat", "Nichts.", "a very warm day and nobody", "e\u0301 fox \U0001f600"]
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


def options_of(architecture: str) -> TranslationOptions:
    source, target = LANGUAGES.get(architecture, (None, None))
    return TranslationOptions(max_new_tokens=24, source_language=source, target_language=target)


def plain(path: str, texts: list[str], answers: list[str], **languages: str) -> tuple[Any, Any]:
    """Loss and labels the obvious way: the tokenizer's text_target, and `model(labels=...)`."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    for name, code in languages.items():
        setattr(tokenizer, name, code)
    most = known(path)[0].max_length
    inputs = tokenizer(texts, truncation=True, max_length=most, padding=True, return_tensors="pt")
    labels = tokenizer(
        text_target=answers, truncation=True, max_length=24, padding=True, return_tensors="pt"
    )
    ids = labels["input_ids"].masked_fill(labels["attention_mask"] == 0, -100)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(path, dtype=torch.float32).eval()
    given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    return model(**given, labels=ids).loss, ids


@pytest.mark.parametrize("architecture", ENCODER_DECODERS)
def test_the_loss_of_a_translation_is_that_of_transformers(tiny, architecture):
    path, options = tiny(architecture), options_of(architecture)
    source, target = LANGUAGES.get(architecture, (None, None))
    prefix = {"t5": TRANSLATE, "marian-many": ">>deu<< "}.get(architecture, "")
    told = {"src_lang": source, "tgt_lang": target} if architecture in _TOLD else {}
    examples = learned(path, TRANSLATION, {"text": TEXTS}, {"translation": ANSWERS}, options)
    expected, labels = plain(path, [prefix + one for one in TEXTS], ANSWERS, **told)
    assert torch.equal(batch(path, TRANSLATION, examples)["labels"], labels)
    found = loss_of(path, TRANSLATION, examples, options, model_of(path, TRANSLATION, options))
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)


_TOLD = ("m2m100", "nllb", "mbart")


@pytest.mark.parametrize("architecture", ["t5", "bart", "pegasus"])
def test_the_loss_of_a_summary_is_that_of_transformers(tiny, architecture):
    path, options = tiny(architecture), SummarizationOptions(max_new_tokens=24)
    prefix = "summarize: " if architecture == "t5" else ""
    examples = learned(path, SUMMARIZE, {"text": TEXTS}, {"summary": ANSWERS}, options)
    expected, _ = plain(path, [prefix + one for one in TEXTS], ANSWERS)
    found = loss_of(path, SUMMARIZE, examples, options, model_of(path, SUMMARIZE, options))
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("architecture", ["m2m100", "nllb", "mbart"])
def test_what_is_read_is_what_labelling_reads(tiny, architecture):
    path, options = tiny(architecture), options_of(architecture)
    examples = learned(path, TRANSLATION, {"text": TEXTS}, {"translation": ANSWERS}, options)
    facts, processor = known(path)
    encoded = TRANSLATION.encode(columns({"text": TEXTS}), processor, facts, options)
    assert encoded.inputs["input_ids"].tolist() == examples.encoded.inputs["input_ids"].tolist()


def test_the_checkpoint_may_say_which_language_is_written(tiny, tmp_path):
    path = tiny("m2m100")
    _, processor = known(path)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(path)
    model.generation_config.forced_bos_token_id = processor.lang_code_to_id["fr"]
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    options = TranslationOptions(source_language="de")
    examples = learned(
        str(tmp_path), TRANSLATION, {"text": TEXTS}, {"translation": ANSWERS}, options
    )
    assert {ids[0] for ids in sequences(examples, "labels")} == {processor.lang_code_to_id["fr"]}


def test_a_long_answer_is_cut_and_still_ends(tiny):
    path, options = tiny("t5"), SummarizationOptions(max_new_tokens=5)
    examples = learned(path, SUMMARIZE, {"text": ["a fox"]}, {"summary": ["good " * 50]}, options)
    (ids,) = sequences(examples, "labels")
    assert len(ids) == 5
    assert ids[-1] == known(path)[1].eos_token_id


def test_rows_without_an_answer_are_errors(tiny):
    path, options = tiny("t5"), SummarizationOptions()
    given = {"text": ["a fox", "a dog"]}, {"summary": [" ", "good"]}
    examples = learned(path, SUMMARIZE, *given, options)
    assert list(examples.encoded.errors) == [0]
    assert "blank" in examples.encoded.errors[0]
    assert batch(path, SUMMARIZE, examples)["labels"].shape[0] == 1


def test_a_text_that_names_no_language_is_an_error(tiny):
    path, options = tiny("marian-many"), TranslationOptions()
    given = {"text": [">>deu<< a fox", "a dog"]}, {"translation": ["ein", "zwei"]}
    examples = learned(path, TRANSLATION, *given, options)
    assert list(examples.encoded.errors) == [1]
    assert len(sequences(examples, "labels")) == 1


@pytest.mark.parametrize("task", [SUMMARIZE, TRANSLATION])
def test_windows_are_refused(tiny, task):
    facts, _ = known(tiny("t5"))
    with pytest.raises(ConfigError, match=r"options\.long_text.*window"):
        task.head({}, facts, task.Options(long_text="window"))


def test_eight_rows_are_learned_by_heart(tiny, tmp_path):
    path, options = tiny("bart"), SummarizationOptions(max_new_tokens=12, num_beams=1)
    words = "the quick brown fox jumps over lazy dog".split()  # noqa: SIM905
    texts = [f"{word} film" for word in words]
    answers = [f"{word} was good" for word in reversed(words)]
    examples = learned(path, SUMMARIZE, {"text": texts}, {"summary": answers}, options)
    trained = overfit(path, SUMMARIZE, examples, options, tmp_path)
    assert label(trained, SUMMARIZE, {"text": texts}, options)["summary"].to_pylist() == answers
