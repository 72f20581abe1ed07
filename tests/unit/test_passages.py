"""Passages: pieces that fit, cut where a reader would cut, and nothing of the text lost."""

import pytest

from labelmill.ops.passages import passages


def words(texts: list[str]) -> list[int]:
    """A tokenizer for which every word is a token."""
    return [len(text.split()) for text in texts]


def characters(texts: list[str]) -> list[int]:
    return [len(text) for text in texts]


def test_a_text_that_fits_is_left_as_it_is():
    assert passages("  one two.  three ", 3, words) == ["  one two.  three "]
    assert passages("", 3, words) == [""]


def test_sentences_are_put_together_as_long_as_they_fit():
    text = "One two. Three four five! Six? Seven eight nine ten."
    assert passages(text, 5, words) == ["One two. Three four five!", "Six? Seven eight nine ten."]


def test_a_sentence_that_is_too_long_is_cut_between_words():
    assert passages("a b c d e f g. h i.", 3, words) == ["a b c", "d e f", "g. h i."]


def test_a_word_that_is_too_long_is_cut_between_characters():
    assert passages("abcdefghij", 3, characters) == ["ab", "cde", "fg", "hij"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\u4f60\u597d\u3002\u4e16\u754c\u3002", ["\u4f60\u597d\u3002", "\u4e16\u754c\u3002"]),
        ("line\none\n", ["line", "one"]),
        ('"A?" b.', ['"A?"', "b."]),
    ],
)
def test_sentences_end_as_the_script_has_it(text, expected):
    assert passages(text, max(map(len, expected)) + 1, characters) == expected


@pytest.mark.parametrize("room", [1, 2, 5, 9, 40])
def test_passages_together_are_the_text(room):
    text = "The cat sat. It was warm; nobody spoke!\n\n" * 3 + "\U0001f600e\u0301 end"
    found = passages(text, room, characters)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert max(map(len, found)) <= room


def test_pieces_that_have_more_tokens_together_than_apart_are_cut_again():
    def joined_costs(texts: list[str]) -> list[int]:
        return [len(text.split()) + 3 * text.count(". ") for text in texts]

    found = passages("a b. c d. e f.", 5, joined_costs)
    assert max(joined_costs(found)) <= 5
    assert " ".join(found).split() == ["a", "b.", "c", "d.", "e", "f."]
