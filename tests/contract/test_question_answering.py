"""question-answering: equal to one model call a window and every pair of tokens, row by row."""

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
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
from labelmill.tasks.question_answering import QuestionAnswering
from labelmill.tasks.question_answering import QuestionAnsweringOptions as Options
from tests.support.labelling import columns, known, label
from tests.support.models import ARCHITECTURES, save_tiny

TASK = QuestionAnswering()
WORKS = {TASK.name: ARCHITECTURES}
QUESTIONS = [
    "was the film good",
    "which dog",
    "",
    "the price?",
    "food",
    "\u4f60\u597d",
    "which",
    "who",
    "was it",
    "was the film good",
]
CONTEXTS = [
    "the film was great and the food cold",
    "never good  or bad\n\n but lazy dog " * 20,
    "a slow plot.",
    "price 12 34",
    "",
    "  e\u0301 caf\u00e9 \u4f60\u597d\u4e16\u754c \u0634\u0643 \U0001f468\u200d\U0001f469 end ",
    " ",
    "[SEP] </s> <mask> [CLS] the actor",
    "cold",
    "the film was great and the food cold",
]
FIELDS = {"question": QUESTIONS, "context": CONTEXTS}
MAX_LENGTH, STRIDE, LONGEST = 40, 8, 5
SHORT = Options(max_length=MAX_LENGTH, stride=STRIDE, max_answer_length=LONGEST, answers=4)
SQUAD = Path(__file__).parents[3] / "shared" / "data" / "xquad"


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


def plain(path: str, longest: int) -> list[tuple[dict[tuple[int, int], float], float | None]]:
    """The obvious way: of each row every span with its score, and the score of no answer."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(path).eval()
    rows = []
    for question, context in zip(QUESTIONS, CONTEXTS, strict=True):
        found: dict[tuple[int, int], float] = {}
        nothing: list[float] = []
        for inputs, offsets, first in windows(tokenizer, question, context):
            with torch.inference_mode():
                outputs = model(**{name: torch.tensor([ids]) for name, ids in inputs.items()})
            start, end = (outputs[name][0].double() for name in ("start_logits", "end_logits"))
            has_cls = inputs["input_ids"][0] == tokenizer.cls_token_id
            kept = [0] * has_cls + [first + at for at in range(len(offsets))]
            starts, ends = start[kept].softmax(0).tolist(), end[kept].softmax(0).tolist()
            if has_cls:
                nothing.append(starts.pop(0) * ends.pop(0))
            for one, (begin, _) in enumerate(offsets):
                for other in range(one, min(one + longest, len(offsets))):
                    key = stripped(context, begin, offsets[other][1])
                    edges = [context[slice(*offsets[at])].strip() for at in (one, other)]
                    if all(edges):
                        found[key] = max(found.get(key, 0.0), starts[one] * ends[other])
        rows.append((found, min(nothing, default=None)))
    return rows


def plain_tokenizer(path: str) -> Any:
    """What processes without transformers get."""
    checkpoint = checkpoints.resolve(path, None, trust_remote_code=False, allow_pickle=False)
    return checkpoints.fast_tokenizer(checkpoint)


def stripped(context: str, begin: int, end: int) -> tuple[int, int]:
    text = context[begin:end]
    return end - len(text.lstrip()), begin + len(text.rstrip())


def windows(tokenizer: Any, question: str, context: str):
    """Inputs of each window, the characters of its context's tokens, and where these begin."""
    asked = tokenizer(question, add_special_tokens=False)["input_ids"][: MAX_LENGTH // 3]
    whole = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = whole["input_ids"], whole["offset_mapping"]
    pair = tokenizer("a", "a")  # one token each
    middle, end = len(pair["input_ids"]), tokenizer.num_special_tokens_to_add(pair=True)
    before = 1 if end else 0
    after = before
    between = middle - before - after - 2
    edges = pair["input_ids"]
    size = MAX_LENGTH - end - len(asked)
    for start in range(0, len(ids), size - STRIDE):
        piece = ids[start : start + size]
        head = [*edges[:before], *asked, *edges[before + 1 : before + 1 + between]]
        inputs = {"input_ids": [*head, *piece, *edges[middle - after :]]}
        if "token_type_ids" in pair:
            inputs["token_type_ids"] = [0] * len(head) + [1] * (len(piece) + after)
        yield inputs, offsets[start : start + size], len(head)
        if start + size >= len(ids):
            return


def test_question_answering_is_found_by_its_name():
    assert plugins.load_class("labelmill.tasks", "question-answering") is QuestionAnswering


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_answers_equal_the_model_window_by_window(tiny, architecture):
    path = tiny(architecture)
    table = label(path, TASK, FIELDS, SHORT)
    for row, context, (expected, _) in zip(
        table.to_pylist(), CONTEXTS, plain(path, LONGEST), strict=True
    ):
        if not expected:
            assert row == dict.fromkeys(["answer", "score", "start", "end", "answers"])
            continue
        best = sorted(expected.values(), reverse=True)[:4]
        assert [one["score"] for one in row["answers"]] == pytest.approx(best, abs=1e-5)
        places = [(one["start"], one["end"]) for one in row["answers"]]
        assert len(set(places)) == len(places)
        for one, place in zip(row["answers"], places, strict=True):
            assert one["answer"] == context[slice(*place)]
            assert one["score"] == pytest.approx(expected[place], abs=1e-5)
        assert row["answers"][0] == {name: row[name] for name in row if name != "answers"}


@pytest.mark.parametrize("architecture", ["bert", "roberta", "deberta-v2", "xlm-roberta"])
def test_no_answer_wins_where_its_score_is_higher(tiny, architecture):
    path = tiny(architecture)
    reference = plain(path, LONGEST)
    ratios = [
        np.log(nothing / max(found.values())) for found, nothing in reference if found and nothing
    ]
    threshold = float(np.median(ratios)) + 1e-3
    options = SHORT.model_copy(update={"no_answer": True, "null_threshold": threshold})
    table = label(path, TASK, FIELDS, options)
    seen = set()
    for row, (expected, nothing) in zip(table.to_pylist(), reference, strict=True):
        if not expected:
            assert row["answer"] == (None if nothing is None else "")
            continue
        wins = np.log(nothing / max(expected.values())) > threshold
        seen.add(bool(wins))
        assert (row["start"] is None) == wins
        if wins:
            assert (row["answer"], row["end"]) == ("", None)
            assert row["score"] == pytest.approx(nothing, abs=1e-5)
        else:
            assert row["score"] == pytest.approx(max(expected.values()), abs=1e-5)
    assert seen == {True, False}


def test_answers_differ_between_the_rows(tiny):
    """Else the other tests would prove little."""
    table = label(tiny(), TASK, FIELDS, SHORT)
    assert len(set(table["answer"].drop_null().to_pylist())) > 4


@pytest.mark.parametrize("architecture", ["bert", "roberta", "deberta-v2", "modernbert"])
@pytest.mark.parametrize("budget", [1, 64, 10**9])
def test_answers_of_any_microbatch_are_the_same(tiny, architecture, budget):
    wanted = label(tiny(architecture), TASK, FIELDS, SHORT)
    table = label(tiny(architecture), TASK, FIELDS, SHORT, budget=budget)
    assert table["answer"] == wanted["answer"]
    assert table["start"] == wanted["start"]
    found, expected = (one["score"].drop_null().to_pylist() for one in (table, wanted))
    assert found == pytest.approx(expected, abs=1e-5)


def test_answers_of_rows_in_another_order_are_the_same(tiny):
    forward = label(tiny(), TASK, FIELDS, SHORT)
    turned = {name: values[::-1] for name, values in FIELDS.items()}
    backward = label(tiny(), TASK, turned, SHORT)
    assert backward["answer"].to_pylist() == forward["answer"].to_pylist()[::-1]
    assert backward["start"].to_pylist() == forward["start"].to_pylist()[::-1]


@pytest.mark.parametrize("options", [Options(), SHORT, Options(no_answer=True), Options(answers=1)])
def test_columns_are_those_of_the_schema(tiny, options):
    facts, _ = known(tiny())
    schema = TASK.schema(facts, options)
    for fields in (FIELDS, {"question": [], "context": []}, {"question": ["a"], "context": [""]}):
        table = label(tiny(), TASK, fields, options)
        table.validate(full=True)
        assert table.schema == schema
        assert table.num_rows == len(fields["context"])
    assert all(field.nullable for field in schema)
    assert ("answers" in schema.names) == (options.answers is not None)


def test_last_rows_without_windows_are_null(tiny):
    table = label(tiny(), TASK, {"question": ["a"] * 4, "context": ["", "dog", "", ""]}, SHORT)
    assert [row is None for row in table["answer"].to_pylist()] == [True, False, True, True]
    assert [row is None for row in table["answers"].to_pylist()] == [True, False, True, True]


def test_answer_deep_in_a_long_context_is_found_where_it_is(tiny):
    """The place counts characters of the whole context, whichever window it comes from."""
    context = "\U0001f600 bad " * 300 + "price"
    options = SHORT.model_copy(update={"answers": 10_000, "max_answer_length": 1})
    (row,) = label(
        tiny(), TASK, {"question": ["was it"], "context": [context]}, options
    ).to_pylist()
    assert len(row["answers"]) == 2 * 300 + 1
    assert {"answer": "price", "start": 1800, "end": 1805} in [
        {name: one[name] for name in ("answer", "start", "end")} for one in row["answers"]
    ]


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta"])
def test_plain_tokenizer_gives_the_same_inputs_as_that_of_transformers(tiny, architecture):
    path = tiny(architecture)
    facts, processor = known(path)
    fast = plain_tokenizer(path)
    options = SHORT.model_copy(update={"no_answer": True})
    ours = TASK.encode(columns(FIELDS), fast, facts, options)
    theirs = TASK.encode(columns(FIELDS), processor, facts, options)
    assert set(ours.inputs) == set(theirs.inputs)
    for name, values in {**theirs.inputs, **theirs.marks}.items():
        found = ours.inputs.get(name, ours.marks.get(name))
        assert np.array_equal(found, values), name


# Options and models that do not fit


def test_defaults_are_squads_where_the_model_takes_them(tiny):
    facts, processor = known(tiny("deberta-v2"))

    long = replace(facts, max_length=512, positions=512)
    given = TASK.encode(
        columns({"question": ["bad " * 99], "context": ["dog " * 999]}), processor, long, Options()
    )
    assert given.lengths[0] == 384
    outside = int((given.marks["start"][:384] < 0).sum())
    assert outside == 64 + 3
    shared = int(given.marks["start"][383 - 1]) - int(given.marks["start"][384 + 66])
    assert shared // len("dog ") == 96 - 1


def test_max_question_length_is_how_many_tokens_of_a_question_are_read(tiny):
    options = Options(max_question_length=3, max_length=20, stride=2)
    fields = {
        "question": ["was the film good or bad", "was the film"],
        "context": ["dog " * 40] * 2,
    }
    facts, processor = known(tiny())
    encoded = TASK.encode(columns(fields), processor, facts, options)
    ids, special = encoded.inputs["input_ids"][:20].tolist(), 3
    asked = processor("was the film", add_special_tokens=False)["input_ids"]
    assert len(asked) == 3
    assert ids[1:5] == [*asked, processor.sep_token_id]
    assert (encoded.marks["start"][:20] < 0).sum() == 3 + special
    whole, cut = label(tiny(), TASK, fields, options).to_pylist()
    assert whole == cut


def test_window_beyond_the_models_positions_is_refused_with_both_numbers(tiny):
    facts, _ = known(tiny())
    with pytest.raises(ConfigError, match=r"options\.max_length: 65 .* \(64\)"):
        TASK.schema(facts, Options(max_length=65))


def test_no_answer_of_a_model_without_a_token_for_it_is_refused(tiny):
    facts, processor = known(tiny())
    processor = plain_tokenizer(tiny())

    without = replace(processor, cls_token_id=None)
    for call in (
        lambda: TASK.readout(without, facts, Options(no_answer=True)),
        lambda: TASK.encode(columns(FIELDS), without, facts, Options(no_answer=True)),
    ):
        with pytest.raises(ConfigError, match=r"options\.no_answer"):
            call()
    assert TASK.readout(without, facts, Options()).names == ("start_logits", "end_logits")


def test_null_threshold_without_no_answer_is_refused():
    with pytest.raises(ValueError, match="no_answer"):
        Options(null_threshold=1.0)


def test_slow_tokenizer_is_refused(tiny):
    class Slow:
        is_fast = False
        cls_token_id = 1

    facts, _ = known(tiny())
    with pytest.raises(ModelError, match="fast tokenizer"):
        TASK.encode(columns(FIELDS), Slow(), facts, Options())


def test_another_number_of_logits_than_tokens_is_refused(tiny):
    facts, processor = known(tiny())
    given = columns({"question": ["a"], "context": ["b"]})
    encoded = TASK.encode(given, processor, facts, Options())
    wrong = Ragged(values=np.zeros((5, 2), np.float32), lengths=np.array([5]))
    with pytest.raises(ModelError, match="start_logits"):
        TASK.decode({"start_logits": wrong}, encoded, given, processor, facts, Options())


def test_agrees_compares_answers():
    ours = pa.table({"answer": ["a", "b", None, ""], "start": [1, 2, None, None]})
    reference = pa.table({"answer": ["a", "c", None, None], "start": [9, 2, None, None]})
    assert TASK.agrees(ours, reference).tolist() == [True, False, True, False]


# Real input


@pytest.mark.skipif(not SQUAD.is_dir(), reason="XQuAD is not on this machine")
@pytest.mark.parametrize("language", ["en", "ar", "zh"])
def test_gold_answers_of_xquad_are_among_the_spans_that_can_be_said(tiny, language):
    """Character offsets hold in real text: SQuAD's own places can be put together from tokens."""
    facts, processor = known(tiny("roberta"))
    with gzip.open(SQUAD / f"xquad.{language}.json.gz", "rt", encoding="utf-8") as file:
        articles = json.load(file)["data"]
    asked = [
        (question["question"], paragraph["context"], question["answers"][0])
        for article in articles[:6]
        for paragraph in article["paragraphs"][:2]
        for question in paragraph["qas"][:3]
    ]
    fields = {"question": [one[0] for one in asked], "context": [one[1] for one in asked]}
    encoded = TASK.encode(columns(fields), processor, facts, Options())
    owners = np.repeat(encoded.rows, encoded.lengths)
    for row, (_, context, gold) in enumerate(asked):
        begin, text = gold["answer_start"], gold["text"]
        assert context[begin : begin + len(text)] == text
        of_row = owners == row
        covered = zip(encoded.marks["start"][of_row], encoded.marks["end"][of_row], strict=True)
        characters = {at for start, end in covered if start >= 0 for at in range(start, end)}
        visible = {at for at, char in enumerate(context) if not char.isspace()}
        assert characters >= visible & set(range(begin, begin + len(text)))
