"""text-classification on tiny models of every kind: it equals the model, row by row."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers

from labelmill.errors import ConfigError, ModelError
from labelmill.tasks.text_classification import TextClassification
from labelmill.tasks.text_classification import TextClassificationOptions as Options
from tests.support.labelling import columns, label, opened
from tests.support.models import ARCHITECTURES, POSITIONS, tiny_classifier

TASK = TextClassification()
WORKS = {TASK.name: ARCHITECTURES}
LABELS = ["label a", "label b", "label c"]
TEXTS = [
    "the film was great",
    "",
    "terrible service, slow and dull!",
    " ",
    "never good " * 200,
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 emoji",
    "e\u0301 combining a\u0323\u0307",
    "\u0634\u0643\u0631\u0627 \u05e9\u05dc\u05d5\u05dd",
    "\u4f60\u597d\u4e16\u754c",
    "a\x00b \x07\ufffe\u200b",
    "[SEP] </s> <mask> the end",
    "bright",
    "the film was great",
    "\r\n\t price and food \u2028",
]
PAIRS = ["good food", None, "a fast dog", "", "bad " * 30, None, "cold", *["the plot"] * 7]
Maker = Callable[..., str]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Maker:
    """Makes each checkpoint once a session."""
    made: dict[tuple[Any, ...], str] = {}

    def make(architecture: str = "bert", labels: int = 3, problem_type: str | None = None) -> str:
        key = (architecture, labels, problem_type)
        if key not in made:
            made[key] = tiny_classifier(tmp_path_factory.mktemp(architecture), *key)
        return made[key]

    return make


def plain_logits(
    path: str, texts: list[str], pairs: list[str | None] | None, max_length: int
) -> Any:
    """The obvious way: one row after another through tokenizer and model; None for no tokens."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(path).eval()
    found: list[Any] = []
    for text, other in zip(texts, pairs or [None] * len(texts), strict=True):
        inputs = tokenizer(text, other, truncation=True, max_length=max_length, return_tensors="pt")
        with torch.inference_mode():
            empty = not inputs["input_ids"].numel()
            found.append(None if empty else model(**inputs).logits[0].double().numpy())
    return found


def softmax(logits: Any) -> Any:
    exponents = np.exp(logits - logits.max())
    return exponents / exponents.sum()


def assert_best_label_equals_plain(table: pa.Table, logits: list[Any]) -> None:
    for row, expected in zip(table.to_pylist(), logits, strict=True):
        if expected is None:
            assert row == {"label": None, "score": None}
            continue
        scores = softmax(expected)
        assert row["score"] == pytest.approx(scores.max(), abs=1e-5)
        assert scores[LABELS.index(row["label"])] == pytest.approx(scores.max(), abs=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_text_classification_single_texts_equal_the_model_row_by_row(tiny, architecture):
    path = tiny(architecture)
    table = label(path, TASK, {"text": TEXTS}, Options())
    assert_best_label_equals_plain(table, plain_logits(path, TEXTS, None, POSITIONS))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_text_classification_pairs_equal_the_model_row_by_row(tiny, architecture):
    path = tiny(architecture)
    table = label(path, TASK, {"text": TEXTS, "text_pair": PAIRS}, Options(max_length=20))
    assert_best_label_equals_plain(table, plain_logits(path, TEXTS, PAIRS, 20))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_text_classification_labels_differ_between_the_texts(tiny, architecture):
    """Else the other tests would prove little."""
    table = label(tiny(architecture), TASK, {"text": TEXTS}, Options())
    assert len({round(score, 4) for score in table["score"].drop_null().to_pylist()}) > 5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("budget", [1, 64, 2048, 10**9])
def test_text_classification_any_microbatch_gives_the_same_scores(tiny, architecture, budget):
    path = tiny(architecture)
    wanted = label(path, TASK, {"text": TEXTS}, Options(scores="all"), budget=1)
    table = label(path, TASK, {"text": TEXTS}, Options(scores="all"), budget=budget)
    assert table["label"] == wanted["label"]
    for found, expected in zip(flat(table), flat(wanted), strict=True):
        assert found == pytest.approx(expected, abs=1e-5)


def flat(table: pa.Table) -> list[float]:
    rows = table["scores"].drop_null().to_pylist()
    return [
        entry["score"] for row in rows for entry in sorted(row, key=lambda entry: entry["label"])
    ]


@pytest.mark.parametrize("labels", [1, 3])
@pytest.mark.parametrize("problem", [None, "multi_label_classification", "regression"])
@pytest.mark.parametrize("options", [Options(), Options(scores="all"), Options(scores=2)])
def test_text_classification_columns_are_those_of_its_schema(tiny, labels, problem, options):
    path = tiny(labels=labels, problem_type=problem)
    facts = opened(path, TASK.auto_class)[0]
    if facts.problem_type == "regression" and options.scores != "best":
        with pytest.raises(ConfigError, match=r"options\.scores"):
            TASK.schema(facts, options)
        return
    schema = TASK.schema(facts, options)
    table = label(path, TASK, {"text": TEXTS}, options)
    table.validate(full=True)
    assert table.schema == schema
    assert table.num_rows == len(TEXTS)
    assert all(field.nullable for field in schema)


@pytest.mark.parametrize("labels", [1, 3])
def test_text_classification_no_rows_gives_an_empty_table(tiny, labels):
    path = tiny(labels=labels)
    facts = opened(path, TASK.auto_class)[0]
    table = label(path, TASK, {"text": []}, Options())
    assert table.num_rows == 0
    assert table.schema == TASK.schema(facts, Options())


def test_text_classification_multi_label_gives_the_labels_above_the_threshold_best_first(tiny):
    path = tiny(problem_type="multi_label_classification")
    table = label(path, TASK, {"text": TEXTS}, Options(threshold=0.4, scores="all"))
    for row, logits in zip(
        table.to_pylist(), plain_logits(path, TEXTS, None, POSITIONS), strict=True
    ):
        expected = 1 / (1 + np.exp(-logits))
        order = np.argsort(-expected, kind="stable")
        assert [entry["label"] for entry in row["scores"]] == [LABELS[number] for number in order]
        assert row["label"] == [LABELS[number] for number in order if expected[number] >= 0.4]
        assert row["score"] == pytest.approx(
            [value for value in expected[order] if value >= 0.4], abs=1e-5
        )


def test_text_classification_regression_gives_the_logits_themselves(tiny):
    path = tiny(labels=1)
    table = label(path, TASK, {"text": TEXTS}, Options())
    expected = [logits[0] for logits in plain_logits(path, TEXTS, None, POSITIONS)]
    assert table["score"].to_pylist() == pytest.approx(expected, abs=1e-5)


def test_text_classification_regression_of_several_numbers_gives_a_list(tiny):
    path = tiny(problem_type="regression")
    table = label(path, TASK, {"text": TEXTS}, Options())
    for row, expected in zip(
        table["score"].to_pylist(), plain_logits(path, TEXTS, None, POSITIONS), strict=True
    ):
        assert row == pytest.approx(list(expected), abs=1e-5)


def test_text_classification_scores_k_are_the_head_of_all(tiny):
    whole = label(tiny(), TASK, {"text": TEXTS}, Options(scores="all"))["scores"].to_pylist()
    best_two = label(tiny(), TASK, {"text": TEXTS}, Options(scores=2))["scores"].to_pylist()
    assert best_two == [row[:2] for row in whole]


def test_text_classification_rows_in_another_order_give_the_same_labels(tiny):
    forward = label(tiny(), TASK, {"text": TEXTS}, Options())
    backward = label(tiny(), TASK, {"text": TEXTS[::-1]}, Options())
    assert backward["label"].to_pylist() == forward["label"].to_pylist()[::-1]


def test_text_classification_every_text_without_tokens_is_null(tiny):
    table = label(tiny("gpt2"), TASK, {"text": ["", ""]}, Options())
    assert table.to_pylist() == [{"label": None, "score": None}] * 2


# Windows


@pytest.mark.parametrize(
    "architecture", ["bert", "roberta", "xlm-roberta", "deberta-v2", "llama", "gpt2"]
)
@pytest.mark.parametrize("paired", [False, True])
def test_windows_short_texts_have_the_tokens_of_truncation(tiny, architecture, paired):
    facts, processor, _ = opened(tiny(architecture), TASK.auto_class)
    short = [
        (text, pair)
        for text, pair in zip(TEXTS, PAIRS, strict=True)
        if len(text + (pair or "")) < 20
    ]
    fields = {"text": [text for text, _ in short]}
    if paired:
        fields["text_pair"] = [pair for _, pair in short]
    cut = TASK.encode(columns(fields), processor, facts, Options())
    windows = TASK.encode(columns(fields), processor, facts, Options(long_text="window"))
    assert np.array_equal(windows.rows, cut.rows)
    assert np.array_equal(windows.lengths, cut.lengths)
    assert set(windows.inputs) == set(cut.inputs)
    for name, values in cut.inputs.items():
        assert np.array_equal(windows.inputs[name], values), name


@pytest.mark.parametrize("architecture", ["bert", "roberta", "gpt2"])
@pytest.mark.parametrize("stride", [0, 1, 3])
def test_windows_own_tokens_put_together_are_the_whole_text(tiny, architecture, stride):
    facts, processor, _ = opened(tiny(architecture), TASK.auto_class)
    options = Options(long_text="window", max_length=16, stride=stride)
    encoded = TASK.encode(columns({"text": TEXTS}), processor, facts, options)
    special = processor.num_special_tokens_to_add()
    for row, text in enumerate(TEXTS):
        joined: list[int] = []
        for at in np.flatnonzero(encoded.rows == row):
            ids = encoded.inputs["input_ids"][encoded.offsets[at] : encoded.offsets[at + 1]]
            content = list(ids[1:-1]) if special else list(ids)
            assert len(ids) <= 16
            joined += content[stride:] if joined else content
        assert joined == processor(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("swapped", [False, True])
def test_windows_of_a_pair_repeat_the_shorter_text_and_cut_the_longer(tiny, swapped):
    facts, processor, _ = opened(tiny(), TASK.auto_class)
    short, long = "good food", "never bad but always cold " * 10
    fields = {"text": [long if swapped else short], "text_pair": [short if swapped else long]}
    encoded = TASK.encode(
        columns(fields), processor, facts, Options(long_text="window", max_length=16, stride=2)
    )
    assert len(encoded) > 3
    types = np.split(encoded.inputs["token_type_ids"], encoded.offsets[1:-1])
    whole = len(processor(short, add_special_tokens=False)["input_ids"])
    kept = [int((kinds == int(swapped)).sum()) for kinds in types]
    assert set(kept) == {whole + (1 if swapped else 2)}
    assert encoded.lengths.max() == 16


def test_windows_of_two_long_texts_keep_half_the_room_of_the_first(tiny):
    facts, processor, _ = opened(tiny(), TASK.auto_class)
    fields = {"text": ["good " * 50], "text_pair": ["bad " * 60]}
    encoded = TASK.encode(
        columns(fields), processor, facts, Options(long_text="window", max_length=15, stride=2)
    )
    first = encoded.inputs["token_type_ids"][: encoded.lengths[0]]
    assert (first == 0).sum() == 6 + 2
    assert encoded.lengths.max() == 15


def test_windows_scores_are_the_mean_weighted_by_own_tokens(tiny):
    path = tiny()
    _, processor, _ = opened(path, TASK.auto_class)
    text = " ".join(["never good food", "bright film", "slow terrible dog"] * 6)
    options = Options(long_text="window", max_length=16, stride=4, scores="all")
    ids = processor(text, add_special_tokens=False)["input_ids"]
    model = transformers.AutoModelForSequenceClassification.from_pretrained(path).eval()
    total, weights, start = np.zeros(3), 0, 0
    while True:
        piece = ids[start : start + 14]
        with torch.inference_mode():
            logits = model(torch.tensor([[2, *piece, 3]])).logits[0].double().numpy()
        weight = len(piece) + 2 - (4 if start else 0)
        total += weight * softmax(logits)
        weights += weight
        if start + 14 >= len(ids):
            break
        start += 10
    (row,) = label(path, TASK, {"text": [text]}, options).to_pylist()
    found = {entry["label"]: entry["score"] for entry in row["scores"]}
    assert found == pytest.approx(dict(zip(LABELS, total / weights, strict=True)), abs=1e-5)


def test_windows_many_rows_leave_short_rows_as_truncation_gives_them(tiny):
    short = [text for text in TEXTS if len(text) < 40]
    cut = label(tiny(), TASK, {"text": short}, Options())
    windows = label(tiny(), TASK, {"text": ["bad " * 300, *short]}, Options(long_text="window"))
    assert windows["label"].to_pylist()[1:] == cut["label"].to_pylist()
    assert windows["score"].to_pylist()[1:] == pytest.approx(cut["score"].to_pylist(), abs=1e-5)


# Options that do not fit


def test_max_length_beyond_the_models_positions_is_refused_with_both_numbers(tiny):
    facts, processor, _ = opened(tiny(), TASK.auto_class)
    with pytest.raises(ConfigError, match=r"options\.max_length: 65 .* \(64\)"):
        TASK.encode(columns({"text": ["a"]}), processor, facts, Options(max_length=65))


def test_max_length_longer_than_trained_is_taken_by_a_model_with_relative_positions(tiny):
    path = tiny("deberta-v2")
    table = label(path, TASK, {"text": TEXTS}, Options(max_length=100))
    assert_best_label_equals_plain(table, plain_logits(path, TEXTS, None, 100))


def test_max_length_without_room_for_text_is_refused(tiny):
    facts, processor, _ = opened(tiny(), TASK.auto_class)
    with pytest.raises(ConfigError, match="at least 3"):
        TASK.encode(columns({"text": ["a"]}), processor, facts, Options(max_length=2))


def test_stride_too_wide_for_the_windows_is_refused(tiny):
    facts, processor, _ = opened(tiny(), TASK.auto_class)
    with pytest.raises(ConfigError, match=r"options\.stride: 7 .* 6 or less"):
        TASK.encode(
            columns({"text": ["a"]}),
            processor,
            facts,
            Options(long_text="window", max_length=16, stride=7),
        )


@pytest.mark.parametrize(
    ("options", "problem", "key"),
    [
        (Options(threshold=0.3), None, "threshold"),
        (Options(threshold=0.3), "regression", "threshold"),
        (Options(scores="all"), "regression", "scores"),
    ],
)
def test_options_that_would_do_nothing_are_refused(tiny, options, problem, key):
    facts = opened(tiny(problem_type=problem), TASK.auto_class)[0]
    with pytest.raises(ConfigError, match=f"options.{key}"):
        TASK.schema(facts, options)


def test_stride_without_windows_is_refused():
    with pytest.raises(ValueError, match="long_text"):
        Options(stride=3)


def test_decode_another_number_of_logits_than_labels_is_refused(tiny):
    facts, processor, _ = opened(tiny(), TASK.auto_class)
    encoded = TASK.encode(columns({"text": ["a"]}), processor, facts, Options())
    with pytest.raises(ModelError, match="expected 3"):
        TASK.decode(
            {"logits": np.zeros((1, 2), np.float32)},
            encoded,
            columns({"text": ["a"]}),
            processor,
            facts,
            Options(),
        )


# Agreement


@pytest.mark.parametrize(
    ("ours", "reference", "expected"),
    [
        (
            {"label": ["a", "b"], "score": [0.6, 0.9]},
            {"label": ["a", "c"], "score": [0.9, 0.9]},
            [True, False],
        ),
        ({"label": [["a", "b"], []]}, {"label": [["b", "a"], ["a"]]}, [True, False]),
        ({"score": [1.01, 1.1, 30.3]}, {"score": [1.0, 1.0, 30.0]}, [True, False, True]),
        ({"score": [[1.0, 2.0], [1.0, 2.0]]}, {"score": [[1.0, 2.01], [1.0, 2.5]]}, [True, False]),
        ({"label": [None]}, {"label": [None]}, [True]),
    ],
)
def test_agrees_tables_compares_labels_or_numbers(ours, reference, expected):
    assert TASK.agrees(pa.table(ours), pa.table(reference)).tolist() == expected
