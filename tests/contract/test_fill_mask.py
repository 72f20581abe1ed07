"""fill-mask: equal to transformers' pipeline, and to the model row by row."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers

from labelmill import checkpoints
from labelmill.engines.pytorch import masked_tokens
from labelmill.engines.pytorch.reading import Model
from labelmill.errors import ConfigError
from labelmill.ops import plugins
from labelmill.readouts import MaskedTokens
from labelmill.tasks.fill_mask import FillMask
from labelmill.tasks.fill_mask import FillMaskOptions as Options
from tests.support.labelling import columns, engine_of, known, label, predict
from tests.support.models import POSITIONS, save_tiny

TASK = FillMask()
ARCHITECTURES = [
    "bert",
    "electra",
    "albert",
    "distilbert",
    "deberta-v2",
    "roberta",
    "camembert",
    "mpnet",
    "xlm-roberta",
    "modernbert",
]
WORKS = {TASK.name: ARCHITECTURES}
TEXTS = [  # _ is a mask
    "the _ was great",
    "_",
    "a lazy _ jumps over the _ and then it _",
    "_ _ _",
    "\U0001f600 _ \U0001f468\u200d\U0001f469",
    "e\u0301 caf\u00e9 _ \u0634\u0643\u0631\u0627 \u4f60_\u597d",
    "never good _ " * 8,
    "a _\n\n bad\t",
    "the _ was great",
]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Callable[[str], str]:
    """Makes each checkpoint once a session."""
    made: dict[str, str] = {}

    def make(architecture: str = "bert") -> str:
        if architecture not in made:
            directory = tmp_path_factory.mktemp(architecture)
            made[architecture] = save_tiny(directory, architecture, TASK.auto_class)
        return made[architecture]

    return make


def resolved(path: str) -> checkpoints.Checkpoint:
    return checkpoints.resolve(path, None, trust_remote_code=False, allow_pickle=False)


def masked(path: str, texts: list[str] = TEXTS) -> list[str]:
    return [text.replace("_", known(path)[1].mask_token) for text in texts]


def piped(path: str, texts: list[str], **options: Any) -> list[list[list[dict[str, Any]]]]:
    """What transformers' pipeline says of each row, with a list for a single mask too."""
    pipe = transformers.pipeline("fill-mask", model=path, device="cpu", **options)
    found = [pipe(text) for text in texts]
    return [row if isinstance(row[0], list) else [row] for row in found]


def assert_same(table: pa.Table, expected: list[list[list[dict[str, Any]]]]) -> None:
    for row, masks in zip(table["fills"].to_pylist(), expected, strict=True):
        assert len(row) == len(masks)
        for found, wanted in zip(row, masks, strict=True):
            assert [one["score"] for one in found] == pytest.approx(
                [one["score"] for one in wanted], abs=1e-5
            )
            assert [one["token"] for one in found] == [one["token_str"] for one in wanted]


def test_fill_mask_is_found_by_its_name():
    assert plugins.load_class("labelmill.tasks", "fill-mask") is FillMask


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_fills_equal_those_of_transformers_pipeline(tiny, architecture):
    path = tiny(architecture)
    assert_same(label(path, TASK, {"text": masked(path)}, Options()), piped(path, masked(path)))


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta"])
def test_fills_of_targets_equal_those_of_transformers_pipeline(tiny, architecture):
    path = tiny(architecture)
    targets = {"bert": ["dog", "film", "Cold"], "roberta": ["the", "a", "\u0120f"]}.get(
        architecture, ["\u2581dog", "\u2581film", "a"]
    )
    for top_k in (2, 5):
        table = label(path, TASK, {"text": masked(path)}, Options(targets=targets, top_k=top_k))
        assert_same(table, piped(path, masked(path), targets=targets, top_k=top_k))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_fills_equal_the_models_softmax_row_by_row(tiny, architecture):
    path = tiny(architecture)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModelForMaskedLM.from_pretrained(path).eval()
    fills = label(path, TASK, {"text": masked(path)}, Options(top_k=10**6))["fills"].to_pylist()
    for text, row in zip(masked(path), fills, strict=True):
        inputs = tokenizer(text, return_tensors="pt")
        with torch.inference_mode():
            scores = model(**inputs).logits[0].softmax(-1)
        places = (inputs["input_ids"][0] == tokenizer.mask_token_id).nonzero()[:, 0].tolist()
        assert len(row) == len(places)
        for place, found in zip(places, row, strict=True):
            expected = scores[place].sort(descending=True).values.tolist()
            assert [one["score"] for one in found] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_head_of_every_architecture_is_asked_of_masks_only(tiny, architecture):
    """Else the whole vocabulary is computed for every token."""
    path = tiny(architecture)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    module = transformers.AutoModelForMaskedLM.from_pretrained(path).eval()
    readout = MaskedTokens(mask_token_id=tokenizer.mask_token_id, count=5)
    inputs = tokenizer(masked(path, ["the _ was _", "a _"]), padding=True, return_tensors="pt")
    shapes: list[tuple[int, ...]] = []
    with torch.inference_mode():
        read = masked_tokens.reader(readout, Model(module, "cpu"), resolved(path))
        module.register_forward_hook(lambda *given: shapes.append(tuple(given[2].logits.shape)))
        found = read(inputs, inputs["attention_mask"].sum(1))
    assert [shape[:2] for shape in shapes] == [(1, 3)]
    assert found["ids"].lengths.tolist() == [2, 1]
    assert found["ids"].values.shape == (3, 5)


def test_model_whose_head_needs_every_token_gives_the_same_fills(tiny, monkeypatch):
    path = tiny()
    wanted = label(path, TASK, {"text": masked(path)}, Options())
    monkeypatch.setattr(masked_tokens._Early, "fits", lambda *_: False)
    engine_of.cache_clear()
    found = label(path, TASK, {"text": masked(path)}, Options())
    engine_of.cache_clear()
    for one, other in zip(found["fills"].to_pylist(), wanted["fills"].to_pylist(), strict=True):
        assert [tokens(mask) for mask in one] == [tokens(mask) for mask in other]


def tokens(mask: list[dict[str, Any]]) -> list[str]:
    return [entry["token"] for entry in mask]


@pytest.mark.parametrize("architecture", ["bert", "roberta", "deberta-v2", "modernbert"])
@pytest.mark.parametrize("budget", [1, 64, 10**9])
def test_fills_of_any_microbatch_are_the_same(tiny, architecture, budget):
    path = tiny(architecture)
    wanted = label(path, TASK, {"text": masked(path)}, Options(), budget=2048)["fills"].to_pylist()
    found = label(path, TASK, {"text": masked(path)}, Options(), budget=budget)["fills"].to_pylist()
    for one, other in zip(found, wanted, strict=True):
        assert [tokens(mask) for mask in one] == [tokens(mask) for mask in other]
        flat = [entry["score"] for mask in one for entry in mask]
        assert flat == pytest.approx([e["score"] for mask in other for e in mask], abs=1e-5)


def test_fills_differ_between_the_masks(tiny):
    """Else the other tests would prove little."""
    path = tiny()
    fills = label(path, TASK, {"text": masked(path)}, Options())["fills"].to_pylist()
    assert len({mask[0]["token"] for row in fills for mask in row}) >= 4


def test_fills_of_rows_in_another_order_are_the_same(tiny):
    path = tiny()
    forward = label(path, TASK, {"text": masked(path)}, Options())["fills"].to_pylist()
    backward = label(path, TASK, {"text": masked(path)[::-1]}, Options())["fills"].to_pylist()
    assert [[tokens(mask) for mask in row] for row in backward[::-1]] == [
        [tokens(mask) for mask in row] for row in forward
    ]


@pytest.mark.parametrize("texts", [["the _", "dog", "", "_"], [], ["dog"], ["", "_ _"]])
def test_columns_are_those_of_the_schema(tiny, texts):
    path = tiny()
    facts, processor = known(path)
    table = label(path, TASK, {"text": masked(path, texts)}, Options())
    table.validate(full=True)
    schema = TASK.schema(facts, Options())
    assert table.schema == schema
    assert all(field.nullable for field in schema)
    assert [row is not None for row in table["fills"].to_pylist()] == ["_" in one for one in texts]
    encoded = TASK.encode(columns({"text": masked(path, texts)}), processor, facts, Options())
    assert sorted(encoded.errors) == [at for at, one in enumerate(texts) if "_" not in one]


def test_longest_text_is_cut_and_one_that_loses_a_mask_is_a_reject(tiny):
    path = tiny()
    facts, processor = known(path)
    texts = masked(path, ["_ " + "bad " * 200, "bad " * 200 + "_", "_"])
    encoded = TASK.encode(columns({"text": texts}), processor, facts, Options())
    assert encoded.lengths.tolist() == [POSITIONS, 3]
    assert list(encoded.errors) == [1]
    assert "1 of the 1 mask tokens" in encoded.errors[1]


def test_max_length_is_how_many_tokens_of_a_text_are_read(tiny):
    path = tiny()
    long, short = masked(path, ["_ " + "bad " * 30, "_ bad bad"])
    found = label(path, TASK, {"text": [long, short]}, Options(max_length=5)).to_pylist()
    assert found[0] == found[1]
    assert found[0] != label(path, TASK, {"text": [long]}, Options()).to_pylist()[0]


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_another_mask_in_the_texts_stands_for_the_tokenizers(tiny, architecture):
    path = tiny(architecture)
    wanted = label(path, TASK, {"text": masked(path)}, Options())
    assert label(path, TASK, {"text": TEXTS}, Options(mask="_")) == wanted


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta"])
def test_plain_tokenizer_gives_the_same_inputs_and_words(tiny, architecture):
    path = tiny(architecture)
    facts, processor = known(path)
    fast = checkpoints.fast_tokenizer(resolved(path))
    fields, options = columns({"text": TEXTS}), Options(mask="_", targets=("a", "d"))
    ours, theirs = (TASK.encode(fields, one, facts, options) for one in (fast, processor))
    for name, values in theirs.inputs.items():
        assert np.array_equal(ours.inputs[name], values)
    assert TASK.readout(fast, facts, options) == TASK.readout(processor, facts, options)
    engine = engine_of(path, TASK.auto_class, TASK.readout(fast, facts, options))
    outputs = predict(engine, ours, 64, facts.pad_token_id)
    tables = [TASK.decode(outputs, ours, fields, one, facts, options) for one in (fast, processor)]
    assert tables[0] == tables[1]


def test_target_of_several_tokens_is_refused(tiny):
    facts, processor = known(tiny())
    with pytest.raises(ConfigError, match=r"options\.targets: 'lazy dog'"):
        TASK.readout(processor, facts, Options(targets=("lazy dog",)))


def test_length_beyond_the_models_positions_is_refused_with_both_numbers(tiny):
    facts, _ = known(tiny())
    with pytest.raises(ConfigError, match=r"options\.max_length: 65 .* \(64\)"):
        TASK.schema(facts, Options(max_length=65))


def test_agrees_compares_the_best_token_of_each_mask():
    def row(*words: str) -> list[list[dict[str, Any]]]:
        return [[{"token": word, "score": 0.5}, {"token": "x", "score": 0.1}] for word in words]

    ours = pa.table({"fills": [row("a"), row("a", "b"), None]})
    reference = pa.table({"fills": [row("a"), row("a", "c"), None]})
    assert TASK.agrees(ours, reference).tolist() == [True, False, True]
