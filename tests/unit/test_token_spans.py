"""Token spans: the processor's tokens, with characters and words, in windows or whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelmill.errors import ConfigError
from labelmill.ops import token_spans
from labelmill.ops.token_spans import Cut
from tests.support.models import ARCHITECTURES, processor_of

KINDS = ["bert", "distilbert", "roberta", "xlm-roberta", "gpt2"]
WHOLE = Cut(max_length=None, stride=None)
CUTS = [
    WHOLE,
    *(Cut(max_length=length, stride=stride) for length in (7, 9) for stride in (0, 1, 2)),
]
texts = st.lists(st.text(max_size=40), max_size=6)


def of_row(values: np.ndarray, encoded, row: int) -> list[list[int]]:
    """One list a sequence of the row."""
    pieces = np.split(values, encoded.offsets[1:-1])
    return [pieces[place].tolist() for place in np.flatnonzero(encoded.rows == row)]


@pytest.mark.parametrize("kind", KINDS)
@given(rows=texts, max_length=st.sampled_from([None, 5, 9]))
@settings(max_examples=40, deadline=None)
def test_of_texts_without_windows_equals_the_processor_row_by_row(kind, rows, max_length):
    processor = processor_of(kind)
    encoded = token_spans.of_texts(rows, processor, Cut(max_length=max_length, stride=None))
    for row, text in enumerate(rows):
        wanted = processor(
            text,
            truncation=max_length is not None,
            max_length=max_length,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
        )
        if not wanted["input_ids"]:
            assert row not in encoded.rows
            continue
        for name, values in encoded.inputs.items():
            assert of_row(values, encoded, row) == [wanted[name]]
        (starts,), (ends,) = (
            of_row(encoded.marks[name], encoded, row) for name in ("start", "end")
        )
        assert list(zip(starts, ends, strict=True)) == wanted["offset_mapping"]
        (words,) = of_row(encoded.marks["word"], encoded, row)
        assert [word == -1 for word in words] == [
            bool(one) for one in wanted["special_tokens_mask"]
        ]


@pytest.mark.parametrize("kind", KINDS)
@given(rows=texts, cut=st.sampled_from(CUTS))
@settings(max_examples=60, deadline=None)
def test_of_texts_any_windows_have_every_token_once_in_order(kind, rows, cut):
    processor = processor_of(kind)
    whole = token_spans.of_texts(rows, processor, WHOLE)
    encoded = token_spans.of_texts(rows, processor, cut)
    assert encoded.lengths.max(initial=0) <= (cut.max_length or 10**9)
    assert set(encoded.rows) == set(whole.rows)
    for marked in (whole.marks, encoded.marks):
        assert set(marked) == {"start", "end", "word"}
    kept, all_kept = encoded.marks["word"] >= 0, whole.marks["word"] >= 0
    for name in ("start", "end", "word"):
        assert np.array_equal(encoded.marks[name][kept], whole.marks[name][all_kept])
    for name in encoded.inputs:
        assert np.array_equal(encoded.inputs[name][kept], whole.inputs[name][all_kept])
    assert np.array_equal(
        np.repeat(encoded.rows, encoded.lengths)[kept],
        np.repeat(whole.rows, whole.lengths)[all_kept],
    )


def test_of_texts_windows_worked_example():
    """Five words to a window, of which neighbours share two: one is read here, one there."""
    encoded = token_spans.of_texts(
        ["the quick brown fox jumps over a lazy dog"],
        processor_of("bert"),
        Cut(max_length=7, stride=2),
    )
    assert encoded.lengths.tolist() == [7, 7, 5]
    assert np.split(encoded.marks["word"], [7, 14])[0].tolist() == [-1, 0, 1, 2, 3, -1, -1]
    assert np.split(encoded.marks["word"], [7, 14])[1].tolist() == [-1, -1, 4, 5, 6, -1, -1]
    assert np.split(encoded.marks["word"], [7, 14])[2].tolist() == [-1, -1, 7, 8, -1]
    ids = np.split(encoded.inputs["input_ids"], [7, 14])
    assert ids[0][4:6].tolist() == ids[1][1:3].tolist()
    assert all(one[0] == 2 and one[-1] == 3 for one in ids)


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("bert", "isn't it", [0, 0, 0, 1, 2, 3]),  # i ##s ##n ' t it
        ("bert", "great, \u4f60\u597d", [0, 1, 2, 3]),
        ("bert", "good \U0001f600 bad", [0, 1, 2]),  # good [UNK] bad
        ("roberta", "great, not\ngood", [0, 0, 0, 0, 1, 1, 1, 1, 1]),  # g rea t , _n ot \n g ood
        ("xlm-roberta", "great caf\u00e9 ", [0, 1, 2, 2, 2, 2, 3]),  # _great _ c a f e _
    ],
)
def test_of_texts_words_are_those_that_transformers_sees(kind, text, words):
    """Where pieces are not marked a word begins after a space, and a space alone is a word, too."""
    encoded = token_spans.of_texts([text], processor_of(kind), WHOLE)
    assert encoded.marks["word"].tolist() == [-1, *words, -1]


def test_of_texts_left_truncation_keeps_the_tail():
    processor = processor_of("bert")
    processor.truncation_side = "left"
    try:
        cut = Cut(max_length=4, stride=None)
        encoded = token_spans.of_texts(["never good but bad"], processor, cut)
        wanted = processor("never good but bad", truncation=True, max_length=4)["input_ids"]
        assert encoded.inputs["input_ids"].tolist() == wanted
        assert encoded.marks["word"].tolist() == [-1, 2, 3, -1]
        assert encoded.marks["start"].tolist()[1:3] == [11, 15]
    finally:
        processor.truncation_side = "right"


def test_of_texts_head_of_a_very_long_text_is_that_of_the_whole():
    processor, text = processor_of("roberta"), "never good, always bad " * 5000
    cut = Cut(max_length=30, stride=None)
    encoded = token_spans.of_texts([text], processor, cut)
    wanted = processor(text, truncation=True, max_length=30, return_offsets_mapping=True)
    assert encoded.inputs["input_ids"].tolist() == wanted["input_ids"]
    spans = zip(encoded.marks["start"].tolist(), encoded.marks["end"].tolist(), strict=True)
    assert list(spans) == wanted["offset_mapping"]


@pytest.mark.parametrize("kind", KINDS)
@given(rows=st.lists(st.none() | st.lists(st.text(max_size=8), max_size=8), max_size=5))
@settings(max_examples=40, deadline=None)
def test_of_words_equals_the_processor_and_counts_in_the_joined_text(kind, rows):
    processor = processor_of(kind)
    encoded = token_spans.of_words(rows, processor, WHOLE)
    for row, words in enumerate(rows):
        if words is None or not processor(words, is_split_into_words=True)["input_ids"]:
            assert row not in encoded.rows
            continue
        wanted = processor(words, is_split_into_words=True, return_offsets_mapping=True)
        assert of_row(encoded.inputs["input_ids"], encoded, row) == [wanted["input_ids"]]
        numbers = wanted.word_ids()
        (found,) = of_row(encoded.marks["word"], encoded, row)
        assert found == [-1 if number is None else number for number in numbers]
        (starts,), (ends,) = (
            of_row(encoded.marks[name], encoded, row) for name in ("start", "end")
        )
        for number, span, place in zip(
            numbers, wanted["offset_mapping"], zip(starts, ends, strict=True), strict=True
        ):
            if number is not None:
                before = sum(len(word) + 1 for word in words[:number])
                assert place == (span[0] + before, span[1] + before)


def test_of_words_windows_have_every_word_once():
    rows = [["good", "unbelievable", "film"] * 9, None, [], ["bad"]]
    encoded = token_spans.of_words(rows, processor_of("bert"), Cut(max_length=9, stride=3))
    assert encoded.lengths.max() == 9
    assert set(encoded.rows.tolist()) == {0, 2, 3}
    tokens = np.repeat(encoded.rows, encoded.lengths)
    words = encoded.marks["word"][(tokens == 0) & (encoded.marks["word"] >= 0)]
    assert (np.diff(words) >= 0).all()
    assert sorted(set(words.tolist())) == list(range(27))


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (Cut(max_length=2, stride=None), "at least 3"),
        (Cut(max_length=16, stride=7), r"options\.stride: 7 .* 6 or less"),
    ],
)
def test_cut_without_room_is_refused(cut, message):
    with pytest.raises(ConfigError, match=message):
        token_spans.of_texts(["a"], processor_of("bert"), cut)
    with pytest.raises(ConfigError, match=message):
        token_spans.of_words([["a"]], processor_of("bert"), cut)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_of_texts_model_inputs_are_those_that_the_processor_names(architecture):
    processor = processor_of(architecture)
    encoded = token_spans.of_texts(["good film"], processor, WHOLE)
    assert set(encoded.inputs) == set(processor.model_input_names) - {"attention_mask"}
