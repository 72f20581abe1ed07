"""Word lists: JSON to words, or the reason why not."""

import pytest

from labelmill.ops import word_lists


def test_parsed_lists_of_strings_are_the_words():
    rows, errors = word_lists.parsed(['["Zo\\u00eb", "lives"]', "[]", '["", " "]'])
    assert rows == [["Zo\u00eb", "lives"], [], ["", " "]]
    assert errors == {}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "not JSON"),
        ('["a"', "not JSON"),
        ('"a b"', "found a string, expected a list of strings"),
        ("null", "found null"),
        ('{"a": 1}', "found an object"),
        ("true", "found a boolean"),
        ("3", "found a number"),
        ('["a", null]', r"words\[1\]: found null, expected a string"),
        ('["a", ["b"]]', r"words\[1\]: found a list"),
        ('["a", 1.5]', r"words\[1\]: found a number"),
        ('["\\ud83d"]', r"words\[0\]: half of a surrogate pair"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_parsed_anything_else_is_an_error_of_its_row_alone(value, reason):
    rows, errors = word_lists.parsed(['["a"]', value, '["b"]'])
    assert rows == [["a"], None, ["b"]]
    assert list(errors) == [1]
    with pytest.raises(ValueError, match=reason):
        raise ValueError(errors[1])
