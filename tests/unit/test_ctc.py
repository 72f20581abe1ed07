"""Greedy CTC decoding, by hand."""

import numpy as np
import pytest

from labelmill.errors import ModelError
from labelmill.ops import ctc

TOKENS = ["_", "|", "H", "E", "L", "O", "<s>"]


class Spelling:
    """A tokenizer of the wav2vec2 kind, as far as decoding goes."""

    pad_token = "_"
    word_delimiter_token = "|"
    replace_word_delimiter_char = " "
    do_lower_case = False
    clean_up_tokenization_spaces = False

    def convert_ids_to_tokens(self, ids):
        return [TOKENS[one] if one < len(TOKENS) else "<unk>" for one in ids]


def ids(frames: str) -> ctc.Ids:
    return np.array([TOKENS.index(one) for one in frames], np.int64)


def heard(frames: str) -> list[tuple[str, int, int]]:
    letters = ctc.alphabet(Spelling(), ids(frames))
    return [(one.text, one.start, one.end) for one in ctc.characters(ids(frames), letters)]


def worded(frames: str) -> list[tuple[str, int, int]]:
    letters = ctc.alphabet(Spelling(), ids(frames))
    pieces = ctc.words(ctc.characters(ids(frames), letters), letters)
    return [(one.text, one.start, one.end) for one in pieces]


def test_runs_are_one_character_and_a_blank_parts_two():
    assert heard("__HHE_LL_LO__") == [
        ("H", 2, 4),
        ("E", 4, 5),
        ("L", 6, 8),
        ("L", 9, 10),
        ("O", 10, 11),
    ]


def test_delimiters_are_characters_but_part_words():
    assert heard("H|_|E") == [("H", 0, 1), (" ", 1, 2), (" ", 3, 4), ("E", 4, 5)]
    assert worded("||HE_L||_O|") == [("HEL", 2, 6), ("O", 9, 10)]


def test_nothing_heard_is_nothing():
    assert heard("") == heard("____") == []
    assert worded("||_|") == []


def test_text_has_no_white_space_at_its_ends():
    letters = ctc.alphabet(Spelling(), ids("|HE||O|"))
    assert ctc.text(ctc.characters(ids("|HE||O|"), letters), Spelling()) == "HE O"


def test_ids_that_the_tokenizer_does_not_know_are_one_token():
    frames = np.array([2, 90, 91, 2], np.int64)
    letters = ctc.alphabet(Spelling(), frames)
    assert [one.text for one in ctc.characters(frames, letters)] == ["H", "<unk>", "H"]


def test_a_tokenizer_without_word_marks_is_refused():
    with pytest.raises(ModelError, match="'object'"):
        ctc.alphabet(object(), ids("H"))


def test_pieces_give_up_what_the_neighbour_knows_better():
    """Three pieces of ten frames' length that share four: each gives up two where it has one."""
    first, second, third = np.arange(9), np.arange(100, 109), np.arange(200, 206)
    whole = ctc.joined([first, second, third], 2, [10, 10, 7])
    assert whole.tolist() == [*range(8), *range(102, 108), *range(202, 206)]


def test_a_single_piece_is_whole():
    assert ctc.joined([np.arange(5)], 2, [6]).tolist() == [0, 1, 2, 3, 4]
