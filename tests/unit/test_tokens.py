"""Tokens: equal to the processor row by row, in batches or not."""

import numpy as np
import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from labelmill.errors import ModelError
from labelmill.ops import text_batches, tokens
from tests.support.models import ARCHITECTURES, processor_of

KINDS = ["bert", "roberta", "xlm-roberta", "gpt2"]
texts = st.lists(st.tuples(st.text(max_size=40), st.none() | st.text(max_size=40)), max_size=8)


def split(encoded, name):
    """One list of ids a sequence."""
    return [ids.tolist() for ids in np.split(encoded.inputs[name], encoded.offsets[1:-1])]


@pytest.mark.parametrize("kind", KINDS)
@given(rows=texts, max_length=st.sampled_from([None, 5, 6, 9, 20]))
@settings(max_examples=40, deadline=None)
def test_truncated_any_texts_equal_the_processor_row_by_row(kind, rows, max_length):
    processor = processor_of(kind)
    wanted = [
        processor(text, other, truncation=max_length is not None, max_length=max_length)
        for text, other in rows
    ]
    pairs = tokens.pair_up([text for text, _ in rows], [other for _, other in rows])
    encoded = tokens.truncated(pairs, processor_of(kind), max_length)
    present = [row for row, inputs in enumerate(wanted) if inputs["input_ids"]]
    assert encoded.rows.tolist() == present
    for name in encoded.inputs:
        assert name in processor.model_input_names
        if present:
            assert split(encoded, name) == [wanted[row][name] for row in present]


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_after_windows_is_not_disturbed_by_them(kind):
    processor = processor_of(kind)
    long = ["never good " * 30]
    before = tokens.truncated(long, processor, 16)
    tokens.windowed(long, processor, 16, 2)
    after = tokens.truncated(long, processor, 16)
    assert np.array_equal(before.inputs["input_ids"], after.inputs["input_ids"])


def test_truncated_more_texts_than_a_batch_keeps_their_order(monkeypatch):
    monkeypatch.setattr(text_batches, "_BATCH_CHARACTERS", 20)
    processor = processor_of("bert")
    rows = ["good " * (1 + number % 7) for number in range(50)]
    encoded = tokens.truncated(rows, processor, None)
    assert encoded.rows.tolist() == list(range(50))
    assert encoded.lengths.tolist() == [3 + number % 7 for number in range(50)]


def test_truncated_left_side_is_the_processors_choice():
    processor = processor_of("bert")
    processor.truncation_side = "left"
    try:
        encoded = tokens.truncated(["good bad never"], processor, 4)
        assert (
            encoded.inputs["input_ids"].tolist()
            == processor("good bad never", truncation=True, max_length=4)["input_ids"]
        )
    finally:
        processor.truncation_side = "right"


def test_truncated_slow_tokenizer_equals_the_processor_row_by_row():
    processor = transformers.ByT5Tokenizer()
    rows = [("hello there", "you"), ("a", None), ("", None)]
    pairs = tokens.pair_up([text for text, _ in rows], [other for _, other in rows])
    encoded = tokens.truncated(pairs, processor, 8)
    assert split(encoded, "input_ids") == [
        processor(text, other, truncation=True, max_length=8)["input_ids"] for text, other in rows
    ]


def test_windowed_pair_of_long_texts_keeps_nothing_that_was_cut_off(monkeypatch):
    monkeypatch.setattr(tokens, "ragged", lambda rows, _: list(rows))
    (windows,) = tokens.windowed([("the fox " * 90, "a dog " * 80)], processor_of("bert"), 16, 2)
    assert len(windows) > 9
    assert not any(window.overflowing for window in windows)  # else every piece with every piece


def test_windowed_slow_tokenizer_is_refused():
    with pytest.raises(ModelError, match="needs a fast tokenizer"):
        tokens.windowed(["a"], transformers.ByT5Tokenizer(), 16, 2)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@given(rows=texts, stride=st.integers(0, 2))
@settings(max_examples=15, deadline=None)
def test_windowed_any_texts_have_every_row_and_no_window_too_long(architecture, rows, stride):
    processor = processor_of(architecture)
    pairs = tokens.pair_up([text for text, _ in rows], [other for _, other in rows])
    encoded = tokens.windowed(pairs, processor, 12, stride)
    assert (encoded.lengths <= 12).all()
    assert (np.diff(encoded.rows) >= 0).all()
    present = tokens.truncated(pairs, processor, None).rows
    assert np.array_equal(np.unique(encoded.rows), present)
