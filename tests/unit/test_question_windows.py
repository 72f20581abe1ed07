"""Windows of questions and contexts: the tokenizer's own tokens, cut, each with its characters."""

import numpy as np
import pytest

from labelmill.errors import ConfigError
from labelmill.ops import question_windows
from labelmill.ops.question_windows import NO_ANSWER, OUTSIDE, Cut
from tests.support.models import processor_of

QUESTIONS = ["was it good", "", "the plot?", "never always " * 20, "\u4f60\u597d \U0001f600"]
CONTEXTS = [
    "the film was great and the food cold, but not the dog",
    "never good  or bad\n\n" * 20,
    "  e\u0301 caf\u00e9 \u4f60\u597d\u4e16\u754c \u0634\u0643 \U0001f468\u200d\U0001f469 \t end ",
    "",
    " ",
    "[SEP] </s> <s> [CLS] the end",
]
PAIRS = [(question, context) for question in QUESTIONS for context in CONTEXTS]
SMALL = Cut(max_length=9, question=2, stride=1)
KINDS = ["bert", "roberta", "xlm-roberta", "gpt2", "distilbert"]


def encoded(processor, pairs, cut):
    questions, contexts = zip(*pairs, strict=True)
    return question_windows.encode(questions, contexts, processor, cut)


def rows_of(given, name):
    values = given.inputs.get(name, given.marks.get(name))
    return np.split(values, given.offsets[1:-1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", ["right", "left"])
def test_encode_short_pairs_are_what_the_tokenizer_gives(kind, side):
    processor = processor_of(kind)
    processor.padding_side = side
    # An empty second text is no text at all to transformers; a question is one.
    pairs = [
        (question, context)
        for question, context in PAIRS
        if processor(context, add_special_tokens=False)["input_ids"]
        and (question or side == "right")
    ]
    given = encoded(processor, pairs, Cut(max_length=5000, question=500, stride=0))
    assert given.rows.tolist() == list(range(len(pairs)))
    for at, (question, context) in enumerate(pairs):
        texts = (question, context) if side == "right" else (context, question)
        expected = processor(*texts)
        assert rows_of(given, "input_ids")[at].tolist() == expected["input_ids"]
        if "token_type_ids" in processor.model_input_names:
            assert rows_of(given, "token_type_ids")[at].tolist() == expected["token_type_ids"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("length", "stride"), [(24, 0), (24, 5), (40, 30)])
def test_encode_windows_are_those_of_the_tokenizers_own_overflow(kind, length, stride):
    processor = processor_of(kind)
    question, context = "was it", CONTEXTS[1]
    given = encoded(
        processor, [(question, context)], Cut(max_length=length, question=4, stride=stride)
    )
    expected = processor(
        question,
        context,
        truncation="only_second",
        max_length=length,
        stride=stride,
        return_overflowing_tokens=True,
    )["input_ids"]
    assert [ids.tolist() for ids in rows_of(given, "input_ids")] == expected


def test_encode_question_is_cut_to_its_head_in_every_window():
    processor = processor_of("bert")
    question, context = "never always good bad cold", "the dog " * 30
    given = encoded(processor, [(question, context)], Cut(max_length=16, question=3, stride=2))
    head = processor("never always good")["input_ids"]
    assert len(given) > 2
    assert all(ids[:5].tolist() == head for ids in rows_of(given, "input_ids"))
    assert given.lengths.max() == 16


@pytest.mark.parametrize("kind", KINDS)
def test_encode_marks_of_the_context_are_characters_without_white_space_at_the_edges(kind):
    processor = processor_of(kind)
    given = encoded(processor, PAIRS, Cut(max_length=64, question=20, stride=8))
    for window, row in enumerate(given.rows.tolist()):
        context = PAIRS[row][1]
        starts, ends = rows_of(given, "start")[window], rows_of(given, "end")[window]
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            if start < 0:
                assert end == start
                continue
            assert context[start:end] == context[start:end].strip()
            assert 0 <= start <= end <= len(context)


@pytest.mark.parametrize("kind", KINDS)
def test_encode_marks_cover_every_visible_character_of_the_context(kind):
    processor = processor_of(kind)
    pairs = [("was it", context) for context in CONTEXTS]
    given = encoded(processor, pairs, Cut(max_length=30, question=8, stride=3))
    for row, (_, context) in enumerate(pairs):
        seen = set()
        for window in np.flatnonzero(given.rows == row):
            places = zip(
                rows_of(given, "start")[window], rows_of(given, "end")[window], strict=True
            )
            seen |= {at for start, end in places if start >= 0 for at in range(start, end)}
        missing = {char for at, char in enumerate(context) if at not in seen and not char.isspace()}
        # Accents that a normalizer strips, and joiners that it drops, belong to no token.
        assert missing <= {"\u0301", "\u200d"}


@pytest.mark.parametrize(("kind", "has"), [("bert", True), ("roberta", True), ("gpt2", False)])
def test_encode_marks_name_the_classification_token_once_a_window(kind, has):
    processor = processor_of(kind)
    given = encoded(processor, PAIRS[:6], Cut(max_length=40, question=8, stride=3))
    for ids, starts in zip(rows_of(given, "input_ids"), rows_of(given, "start"), strict=True):
        places = np.flatnonzero(starts == NO_ANSWER)
        assert len(places) == int(has)
        assert not has or (places[0] == 0 and ids[0] == processor.cls_token_id)


def test_encode_context_without_tokens_has_no_window():
    given = encoded(
        processor_of("bert"),
        [("a", " "), ("a", "b"), ("a", "")],
        Cut(max_length=9, question=2, stride=1),
    )
    assert given.rows.tolist() == [1]
    assert given.marks["start"].tolist() == [NO_ANSWER, OUTSIDE, OUTSIDE, 0, OUTSIDE]


def test_encode_no_rows_give_no_windows():
    given = question_windows.encode(
        [], [], processor_of("bert"), Cut(max_length=9, question=2, stride=1)
    )
    assert len(given) == 0
    assert {"input_ids", "token_type_ids"} == set(given.inputs)


def test_encode_windows_too_small_for_what_they_share_are_refused_with_the_least_size():
    with pytest.raises(ConfigError, match=r"windows of 10 .* room for 3 .* at least 12"):
        encoded(processor_of("bert"), [("a", "b")], Cut(max_length=10, question=4, stride=4))
    encoded(processor_of("bert"), [("a", "b " * 99)], Cut(max_length=12, question=4, stride=4))


@pytest.mark.parametrize(
    ("text", "span", "expected"),
    [
        (" ab ", (0, 4), (1, 3)),
        ("a b", (1, 2), (1, 1)),
        ("a b", (1, 3), (2, 3)),
        ("\u3000\u4f60\u2028", (0, 3), (1, 2)),
        ("  ", (0, 2), (0, 0)),
        ("ab", (1, 1), (1, 1)),
        ("a\U0001f600 ", (1, 3), (1, 2)),
    ],
)
def test_trimmed_spans_have_no_white_space_at_their_edges(text, span, expected):
    starts, ends = question_windows.trimmed(text, np.array([span]))
    assert (starts[0], ends[0]) == expected
