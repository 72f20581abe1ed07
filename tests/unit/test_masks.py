"""Texts with masks: which are refused and why, targets, and the lists of fills."""

import json

import numpy as np
import pytest

from labelmill.batch import Ragged
from labelmill.checkpoints.tokenizer import FastTokenizer
from labelmill.errors import ConfigError, ModelError
from labelmill.ops import masks
from tests.support.models import processor_of


def test_encode_rows_with_masks_are_what_the_tokenizer_gives():
    processor = processor_of("bert")
    texts = ["the [MASK] dog", "[MASK]", "never [MASK] [MASK] always"]
    encoded = masks.encode(texts, processor, 64)
    assert not encoded.errors
    assert encoded.inputs["input_ids"].tolist() == [
        number for text in texts for number in processor(text)["input_ids"]
    ]


def test_encode_text_without_a_mask_is_an_error_and_has_no_sequence():
    encoded = masks.encode(["dog", "a [MASK]", "", "<mask>"], processor_of("bert"), 64)
    assert encoded.rows.tolist() == [1]
    assert sorted(encoded.errors) == [0, 2, 3]
    assert encoded.errors[0] == "the text has no mask token '[MASK]'; expected at least one"


def test_encode_mask_that_is_cut_off_is_an_error_that_counts_them():
    texts = ["[MASK] " + "bad " * 30 + "[MASK] [MASK]", "bad [MASK] " * 3, "bad " * 30 + "[MASK]"]
    encoded = masks.encode(texts, processor_of("bert"), 10)
    assert encoded.rows.tolist() == [1]
    assert encoded.errors[0].startswith("2 of the 3 mask tokens '[MASK]' are beyond the 10 tokens")
    assert encoded.errors[2].startswith("1 of the 1 mask tokens")


@pytest.mark.parametrize("side", ["left", "right"])
def test_encode_long_text_keeps_the_side_that_the_tokenizer_keeps(side):
    processor = processor_of("bert")
    processor.truncation_side = side
    texts = ["[MASK] " + "bad " * 30, "bad " * 30 + "[MASK]"]
    encoded = masks.encode(texts, processor, 10)
    assert list(encoded.errors) == ([0] if side == "left" else [1])


def test_encode_counts_masks_as_the_tokenizer_reads_them():
    """Written twice, but inside a word it is none to this tokenizer: nothing was cut off."""
    serialized = json.loads(processor_of("bert").backend_tokenizer.to_str())
    for token in serialized["added_tokens"]:
        token["single_word"] = token["content"] == "[MASK]"
    processor = FastTokenizer(
        serialized=json.dumps(serialized),
        truncation_side="right",
        split_special_tokens=False,
        model_input_names=("input_ids",),
        mask_token="[MASK]",
        mask_token_id=4,
    )
    encoded = masks.encode(["a[MASK]b [MASK] dog", "a[MASK]b"], processor, 64)
    assert (encoded.inputs["input_ids"] == 4).sum() == 1
    assert list(encoded.errors) == [1]
    assert "has no mask token" in encoded.errors[1]


def test_encode_tokenizer_without_a_mask_token_is_refused():
    processor = processor_of("bert")
    processor.mask_token = None
    with pytest.raises(ModelError, match="mask token"):
        masks.encode(["a"], processor, 64)


def test_targets_are_taken_from_the_vocabulary_else_tokenized():
    processor = processor_of("bert")
    vocabulary = processor.get_vocab()
    found = masks.target_ids(["dog", "Film", "##a"], processor)
    assert found == (vocabulary["dog"], vocabulary["film"], vocabulary["##a"])


def test_targets_with_the_space_before_them_are_another_token():
    processor = processor_of("roberta")
    plain, spaced = masks.target_ids(["f", " f"], processor)
    assert processor.convert_ids_to_tokens([plain, spaced]) == ["f", "\u0120f"]


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
@pytest.mark.parametrize("target", ["lazy dog", "\u1234"])
def test_targets_that_are_not_one_known_token_are_refused(kind, target):
    with pytest.raises(ConfigError, match=r"options\.targets: .* expected one token"):
        masks.target_ids(["a", target], processor_of(kind))


def test_targets_that_are_the_same_token_are_refused_with_both():
    with pytest.raises(ConfigError, match="'DOG' and 'dog' are the same token"):
        masks.target_ids(["dog", "DOG"], processor_of("bert"))


def test_fills_are_lists_for_each_mask_of_each_row():
    processor = processor_of("bert")
    dog, film, piece = (processor.get_vocab()[one] for one in ("dog", "film", "##a"))
    ids = np.array([[dog, film], [film, piece], [piece, dog]])
    scores = np.array([[0.5, 0.25], [1, 0], [0.75, 0.125]], np.float32)
    lengths = np.array([2, 1])
    filled = masks.fills(
        Ragged(values=ids, lengths=lengths),
        Ragged(values=scores, lengths=lengths),
        np.array([1, 3], np.int32),
        5,
        processor,
    )
    filled.validate(full=True)
    assert filled.type == masks.FILLS
    named = [
        entry and [[(one["token"], one["score"]) for one in mask] for mask in entry]
        for entry in filled.to_pylist()
    ]
    assert named == [
        None,
        [[("dog", 0.5), ("film", 0.25)], [("film", 1.0), ("##a", 0.0)]],
        None,
        [[("##a", 0.75), ("dog", 0.125)]],
        None,
    ]
