"""Word lists: JSON text to lists of words, row by row, or the reason why it is none."""

import json
from collections.abc import Sequence

Words = list[str]


def parsed(values: Sequence[str]) -> tuple[list[Words | None], dict[int, str]]:
    """The words of each row, None where they are none, and by row why not."""
    found: list[Words | None] = []
    errors: dict[int, str] = {}
    for row, value in enumerate(values):
        try:
            found.append(_words(value))
        except (TypeError, ValueError) as error:
            found.append(None)
            errors[row] = str(error)
    return found, errors


def _words(value: str) -> Words:
    """Raises TypeError or ValueError with the reason."""
    try:
        words = json.loads(value)
    except RecursionError:
        raise ValueError("words: JSON nested too deeply, expected a list of strings") from None
    except ValueError as error:
        raise ValueError(f"words: not JSON ({error}), expected a list of strings") from None
    if not isinstance(words, list):
        raise TypeError(f"words: found {_kind(words)}, expected a list of strings")
    for place, word in enumerate(words):
        if not isinstance(word, str):
            raise TypeError(f"words[{place}]: found {_kind(word)}, expected a string")
        if not _is_unicode(word):
            raise ValueError(f"words[{place}]: half of a surrogate pair, which is no character")
    return words


def _kind(value: object) -> str:
    """As JSON calls it."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
    return "an object"


def _is_unicode(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True
