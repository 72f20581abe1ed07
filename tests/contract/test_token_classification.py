"""token-classification on tiny models of every kind: what the model and transformers say."""

import json
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers

from labelmill import checkpoints
from labelmill.batch import Ragged
from labelmill.errors import ConfigError, ModelError
from labelmill.ops import plugins
from labelmill.readouts import TokenLogits
from labelmill.tasks.token_classification import TokenClassification
from labelmill.tasks.token_classification import TokenClassificationOptions as Options
from tests.support.labelling import columns, known, label
from tests.support.models import ARCHITECTURES, POSITIONS
from tests.support.tagger_models import BIO, BIOES, HEAD, IOB1, PLAIN, blind_tagger, tiny_tagger

TASK = TokenClassification()
WORKS = {TASK.name: ARCHITECTURES}
AGGREGATIONS = ["none", "simple", "first", "average", "max"]
SHORT = [
    "the film was great, and the actor (never dull) rather good!",
    "",
    "terrible service, slow and dull!",
    " ",
    "  two  spaces\tand a tab\nand a line  ",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 emoji good",
    "e\u0301 combining a\u0323\u0307 caf\u00e9",
    "\u0634\u0643\u0631\u0627 \u05e9\u05dc\u05d5\u05dd",
    "\u4f60\u597d\u4e16\u754c \u4f60\u597d",
    "a\x00b \x07\ufffe\u200b",
    "[SEP] </s> <mask> the end",
    "bright",
    "unbelievable, isn't it? 12.34",
    "\r\n\t price and food \u2028",
    "\u00df\u0130 \ufb01lm \uff46\uff49\uff4c\uff4d",
]
LONG = "never good, always dull. the quick brown fox jumps over a lazy dog " * 12
TEXTS = [*SHORT, LONG]
WORDS = [
    ["the", "film", "was", "great"],
    [],
    ["caf\u00e9", "\U0001f600", "unbelievable"],
    ["dull"],
    ["never", "terribly"] * 40,
]
Maker = Callable[..., str]


@pytest.fixture(scope="session")
def tagger(tmp_path_factory) -> Maker:
    """Makes each checkpoint once a session."""
    made: dict[tuple[Any, ...], str] = {}

    def make(architecture: str = "bert", labels: tuple[str, ...] = BIO, seed: int = 0) -> str:
        key = (architecture, labels, seed)
        if key not in made:
            made[key] = tiny_tagger(tmp_path_factory.mktemp(architecture), *key)
        return made[key]

    return make


@pytest.fixture(scope="session")
def blind(tmp_path_factory) -> str:
    return blind_tagger(tmp_path_factory.mktemp("blind"))


def listed(path: str, texts: list[str], budget: int = 2048, **options: Any) -> list[Any]:
    """The entities of each text."""
    table = label(path, TASK, {"text": texts}, Options(**options), budget)
    return table["entities"].to_pylist()


def worded(path: str, rows: list[list[str]], **options: Any) -> list[Any]:
    """The entities of each list of words."""
    values = [json.dumps(words) for words in rows]
    return label(path, TASK, {"words": values}, Options(**options))["entities"].to_pylist()


def of_pipeline(path: str, inputs: list[Any], aggregation: str, **more: Any) -> list[Any]:
    """What transformers' pipeline says of each input."""
    tagging = transformers.pipeline(
        "token-classification", model=path, aggregation_strategy=aggregation, device="cpu"
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Tokenizer does not support real words")
        return [_in_our_words(tagging([one], **more)[0]) for one in inputs]


def _in_our_words(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "label": entity.get("entity") or entity["entity_group"],
            "score": entity["score"],
            "start": entity["start"],
            "end": entity["end"],
        }
        for entity in found
    ]


def assert_same(found: list[Any], expected: list[Any]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert [(one["label"], one["start"], one["end"]) for one in ours] == [
            (one["label"], one["start"], one["end"]) for one in theirs
        ]
        scores = [one["score"] for one in theirs]
        assert [one["score"] for one in ours] == pytest.approx(scores, abs=1e-5)


def with_tokens(architecture: str, texts: list[str]) -> list[str]:
    """Transformers fails on a text that has no token; we give null."""
    return [text for text in texts if text or architecture != "gpt2"]


# Agreement with transformers


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_entities_of_texts_are_those_of_transformers(tagger, architecture, aggregation):
    path, texts = tagger(architecture), with_tokens(architecture, SHORT)
    expected = of_pipeline(path, texts, aggregation)
    assert sum(map(len, expected)) > 20
    assert_same(listed(path, texts, aggregation=aggregation, trim=False), expected)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("labels", [IOB1, PLAIN])
def test_entities_of_other_tags_are_those_of_transformers(tagger, labels, aggregation):
    path = tagger("bert", labels)
    expected = of_pipeline(path, SHORT, aggregation)
    assert_same(listed(path, SHORT, aggregation=aggregation, trim=False), expected)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta"])
@pytest.mark.parametrize("aggregation", ["none", "simple", "max"])
def test_entities_of_a_truncated_text_are_those_of_transformers(tagger, architecture, aggregation):
    path = tagger(architecture)
    expected = of_pipeline(path, [LONG], aggregation)
    found = listed(path, [LONG], aggregation=aggregation, trim=False, long_text="truncate")
    assert_same(found, expected)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("architecture", ["bert", "distilbert", "roberta", "xlm-roberta"])
def test_entities_of_words_are_those_of_transformers(tagger, architecture, aggregation):
    """As long as it sees each given word as one: it divides "isn't", or a lone mark."""
    path, rows = tagger(architecture), [WORDS[0], WORDS[3]]
    if architecture != "xlm-roberta" or aggregation in {"none", "simple"}:
        rows.append(["caf\u00e9", "unbelievable"])
    expected = of_pipeline(path, rows, aggregation, is_split_into_words=True)
    assert_same(worded(path, rows, aggregation=aggregation, trim=False), expected)


@pytest.mark.parametrize("aggregation", ["none", "simple"])
def test_entities_ignored_labels_are_those_of_transformers(tagger, aggregation):
    path = tagger()
    ignored = ("I-PER", "B-LOC") if aggregation == "none" else ("PER",)
    expected = of_pipeline(path, SHORT, aggregation, ignore_labels=list(ignored))
    found = listed(path, SHORT, aggregation=aggregation, ignore_labels=ignored, trim=False)
    assert any(one["label"] == "O" for row in found for one in row)
    assert_same(found, expected)


# The model, one row after another


def plain_scores(path: str, pieces: list[list[int]]) -> list[Any]:
    """[tokens, labels] softmax of each sequence of ids, run by itself."""
    model = transformers.AutoModelForTokenClassification.from_pretrained(path).eval()
    with torch.inference_mode():
        logits = [model(torch.tensor([ids])).logits[0].double().numpy() for ids in pieces]
    exponents = [np.exp(one - one.max(axis=1, keepdims=True)) for one in logits]
    return [one / one.sum(axis=1, keepdims=True) for one in exponents]


@pytest.mark.parametrize("stride", [0, 1, 5, 6])
@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta", "modernbert", "gpt2"])
def test_windows_each_token_is_read_where_it_is_farther_from_a_cut(tagger, architecture, stride):
    path = tagger(architecture)
    _, tokenizer = known(path)
    whole = tokenizer(LONG, return_special_tokens_mask=True, return_offsets_mapping=True)
    special = np.array(whole["special_tokens_mask"], dtype=bool)
    ids = np.array(whole["input_ids"])
    spans = np.array(whole["offset_mapping"])[~special]
    content, room = ids[~special], 20 - special.sum()
    head, tail = ([ids[0]], [ids[-1]]) if special.any() else ([], [])
    starts = list(range(0, len(content) - stride, room - stride))
    pieces = [content[start : start + room] for start in starts]
    scores = plain_scores(path, [[*head, *piece, *tail] for piece in pieces])
    best: dict[int, tuple[float, int, float]] = {}
    for start, piece, found in zip(starts, pieces, scores, strict=True):
        for place in range(len(piece)):
            left = place if start else np.inf
            right = len(piece) - 1 - place if start + room < len(content) else np.inf
            row = found[place + len(head)]
            if min(left, right) > best.get(start + place, (-1,))[0]:
                best[start + place] = (min(left, right), int(row.argmax()), row.max())
    expected = [
        {"label": BIO[best[place][1]], "score": best[place][2], "start": start, "end": end}
        for place, (start, end) in enumerate(spans)
    ]
    assert len(pieces) > 5
    options = {"aggregation": "none", "ignore_labels": (), "trim": False}
    found = listed(path, [LONG], max_length=20, stride=stride, **options)
    assert_same(found, [expected])


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize(("length", "stride"), [(8, 0), (8, 1), (12, 4), (64, 16), (33, None)])
def test_windows_of_any_size_cut_no_entity_and_give_none_twice(blind, aggregation, length, stride):
    """A model that looks at no neighbour must say of windows what it says of the whole."""
    texts = [LONG, "bad", LONG[:500], "", "unbelievable" * 30]
    whole = listed(blind, texts, aggregation=aggregation)
    assert max(map(len, whole)) > 50
    assert_same(
        listed(blind, texts, aggregation=aggregation, max_length=length, stride=stride), whole
    )


def test_windows_of_words_cut_no_entity_and_give_none_twice(blind):
    whole = worded(blind, WORDS, aggregation="first")
    assert_same(worded(blind, WORDS, aggregation="first", max_length=10, stride=3), whole)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_entities_any_microbatch_gives_the_same(tagger, architecture):
    path = tagger(architecture)
    texts = with_tokens(architecture, TEXTS)
    wanted = listed(path, texts, budget=1)
    for budget in (64, 10**9):
        assert_same(listed(path, texts, budget=budget), wanted)


def test_entities_rows_in_another_order_are_the_same(tagger):
    forward = listed(tagger(), TEXTS)
    assert_same(listed(tagger(), TEXTS[::-1])[::-1], forward)


# The column


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta", "gpt2"])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_entities_text_is_the_slice_of_the_original(tagger, architecture, aggregation):
    found = listed(tagger(architecture), TEXTS, aggregation=aggregation)
    for text, row in zip(TEXTS, found, strict=True):
        for entity in row or []:
            assert entity["text"] == text[entity["start"] : entity["end"]]
            assert entity["text"].strip() == entity["text"] != ""


@pytest.mark.parametrize("architecture", ["roberta", "xlm-roberta"])
def test_entities_trim_leaves_out_white_space_at_their_ends(tagger, architecture):
    trimmed = listed(tagger(architecture), SHORT)
    whole = listed(tagger(architecture), SHORT, trim=False)
    ends = [(one["start"], one["end"]) for row in trimmed for one in row]
    assert ends != [(one["start"], one["end"]) for row in whole for one in row]
    said = [one["text"].strip() for row in whole for one in row]
    assert [one["text"] for row in trimmed for one in row] == [text for text in said if text]


def test_entities_of_words_lie_in_the_words_joined_by_spaces(tagger):
    for words, row in zip(WORDS, worded(tagger("roberta"), WORDS), strict=True):
        for entity in row:
            assert entity["text"] == " ".join(words)[entity["start"] : entity["end"]]


def test_entities_are_in_order_and_do_not_overlap(tagger):
    """Unless a tokenizer gives two tokens for one character, as BERT's never does."""
    for row in listed(tagger(), TEXTS, ignore_labels=()):
        assert all(one["end"] <= two["start"] for one, two in pairwise(row))


def test_entities_a_given_word_is_one_word_whatever_is_in_it(tagger):
    words = ["isn't", "great,", "12.34", "\U0001f600"]
    begins = {sum(map(len, words[:place])) + place for place in range(len(words))}
    for architecture in ("bert", "roberta", "xlm-roberta"):
        (row,) = worded(tagger(architecture, PLAIN), [words], aggregation="average")
        assert {one["start"] for one in row} <= begins


def test_entities_of_bioes_are_not_cut_at_their_end(tagger):
    path = tagger("bert", BIOES, 1)
    plain = listed(path, TEXTS, aggregation="none", ignore_labels=())
    merged = listed(path, TEXTS, ignore_labels=())
    assert {one["label"] for row in merged for one in row} <= {"O", "PER", "LOC"}
    for tokens, row in zip(plain, merged, strict=True):
        starts = {one["start"] for one in row}
        for token, after in pairwise(tokens):
            if token["label"][0] in "BI" and after["label"] == "E" + token["label"][1:]:
                assert after["start"] not in starts
            if token["label"][0] in "ES" or after["label"][0] in "BS":
                assert after["start"] in starts


def test_entities_threshold_leaves_out_the_unsure(tagger):
    everything = listed(tagger(), TEXTS)
    scores = [one["score"] for row in everything for one in row]
    middle = sorted(scores)[len(scores) // 2]
    kept = listed(tagger(), TEXTS, threshold=middle)
    assert kept == [[one for one in row if one["score"] >= middle] for row in everything]
    assert 0 < sum(map(len, kept)) < len(scores)


@pytest.mark.parametrize("texts", [[], ["", " "], TEXTS])
def test_entities_column_is_that_of_the_schema(tagger, texts):
    facts, _ = known(tagger())
    table = label(tagger(), TASK, {"text": texts}, Options())
    table.validate(full=True)
    assert table.schema == TASK.schema(facts, Options())
    assert table.num_rows == len(texts)
    assert table["entities"].null_count == 0
    entity = table.schema.field("entities").type.value_type
    assert {field.name: str(field.type) for field in entity} == {
        "label": "string", "score": "float", "start": "int32", "end": "int32", "text": "string",
    }  # fmt: skip


def test_entities_of_a_text_without_tokens_are_null(tagger):
    assert [row is None for row in listed(tagger("gpt2"), ["", "a", ""])] == [True, False, True]


def test_words_that_are_none_are_errors_and_null(tagger):
    facts, tokenizer = known(tagger())
    fields = columns({"words": ['["good", "film"]', "[1]", "no", '["bad"]', "[]"]})
    encoded = TASK.encode(fields, tokenizer, facts, Options())
    assert encoded.rows.tolist() == [0, 3, 4]
    assert list(encoded.errors) == [1, 2]
    assert encoded.errors[1] == "words[0]: found a number, expected a string"
    assert encoded.errors[2].startswith("words: not JSON (Expecting value")
    logits = np.zeros((encoded.lengths.sum(), len(BIO)), np.float32)
    outputs = {"logits": Ragged(values=logits, lengths=encoded.lengths.astype(np.int64))}
    table = TASK.decode(outputs, encoded, fields, tokenizer, facts, Options())
    assert table["entities"].to_pylist() == [[], None, None, [], []]


# Seam


def test_task_is_found_by_its_name_and_reads_one_vector_a_token(tagger):
    assert plugins.load_class("labelmill.tasks", "token-classification") is TokenClassification
    assert TASK.auto_class == HEAD
    assert TASK.readout(None, known(tagger())[0], Options()) == TokenLogits()


def test_encode_by_the_plain_tokenizer_is_the_same(tagger):
    """The one that jobs use, without transformers."""
    for architecture in ("bert", "roberta", "xlm-roberta"):
        path = tagger(architecture)
        facts, tokenizer = known(path)
        checkpoint = checkpoints.resolve(path, None, trust_remote_code=False, allow_pickle=False)
        plain = checkpoints.fast_tokenizer(checkpoint)
        wanted = TASK.encode(columns({"text": TEXTS}), tokenizer, facts, Options())
        found = TASK.encode(columns({"text": TEXTS}), plain, facts, Options())
        for one, other in zip(
            [found.rows, *found.inputs.values(), *found.marks.values()],
            [wanted.rows, *wanted.inputs.values(), *wanted.marks.values()],
            strict=True,
        ):
            assert np.array_equal(one, other)


def test_agrees_compares_labels_and_places(tagger):
    one = label(tagger(), TASK, {"text": TEXTS}, Options())
    other = label(tagger(seed=5), TASK, {"text": TEXTS}, Options())
    assert TASK.agrees(one, one).all()
    assert not TASK.agrees(one, other).all()
    assert TASK.agrees(one, other)[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 65}, rf"options\.max_length: 65 .* \({POSITIONS}\)"),
        ({"ignore_labels": ("B-PER",)}, r"options\.ignore_labels: 'B-PER'"),
    ],
)
def test_options_that_do_not_fit_the_model_are_refused(tagger, options, message):
    with pytest.raises(ConfigError, match=message):
        TASK.schema(known(tagger())[0], Options(**options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 2}, "at least 3"),
        ({"max_length": 16, "stride": 7}, r"options\.stride: 7 .* 6 or less"),
    ],
)
def test_options_that_leave_no_room_are_refused(tagger, options, message):
    facts, tokenizer = known(tagger())
    with pytest.raises(ConfigError, match=message):
        TASK.encode(columns({"text": ["a"]}), tokenizer, facts, Options(**options))


def test_stride_without_windows_is_refused():
    with pytest.raises(ValueError, match="long_text"):
        Options(stride=3, long_text="truncate")


def test_slow_tokenizer_is_refused(tagger):
    facts, _ = known(tagger())
    with pytest.raises(ModelError, match="needs a fast tokenizer"):
        TASK.encode(
            columns({"text": ["a"]}), transformers.ByT5Tokenizer(), facts, Options(max_length=16)
        )


def test_decode_another_number_of_logits_than_labels_is_refused(tagger):
    facts, tokenizer = known(tagger())
    fields: dict[str, pa.ChunkedArray] = columns({"text": ["a"]})
    encoded = TASK.encode(fields, tokenizer, facts, Options())
    outputs = {"logits": Ragged(values=np.zeros((3, 2), np.float32), lengths=np.array([3]))}
    with pytest.raises(ModelError, match=r"expected \(3, 5\)"):
        TASK.decode(outputs, encoded, fields, tokenizer, facts, Options())
