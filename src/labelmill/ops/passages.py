"""Passages: a long text as pieces that each fit into a model, cut between sentences where it can.

A passage is a piece of the text itself: put together, they are the text, without the blanks at
their ends. It does not know a tokenizer, only how many tokens one says a text has.
"""

import re
from collections.abc import Callable, Iterator, Sequence

Count = Callable[[list[str]], list[int]]  # tokens of each text, without special tokens

# Behind what ends a sentence (full stops of several scripts, quotes and brackets after them) and
# the blanks that follow; CJK full stops need no blank. Or behind a line.
_SENTENCE = re.compile(
    r"(?<=[.!?\u061f\u0964\u06d4])[\"'\u201d\u2019)\]]*\s+|[\u3002\uff01\uff1f]+\s*|\n+"
)
_WORD = re.compile(r"\s+")


def passages(text: str, room: int, count: Count) -> list[str]:
    """Pieces of at most `room` tokens, in order; the text as it is where it fits.

    A sentence that is too long is cut between words, a word that is too long between characters;
    a single character is never cut, however many tokens it has.
    """
    (whole,) = count([text])
    if whole <= room:
        return [text]
    pieces = [piece for part in _split(text, _SENTENCE) for piece in _fitting(part, room, count)]
    packed = _packed(pieces, count(pieces), room)
    checked = zip(packed, count(packed), strict=True)
    # Joined, pieces may have more tokens than apart, if seldom.
    fine = [[one] if tokens <= room else _halves(one, room, count) for one, tokens in checked]
    return [one.strip() for group in fine for one in group if one.strip()] or [text[:0]]


def _split(text: str, place: re.Pattern[str]) -> list[str]:
    """The text cut behind each match; nothing is lost."""
    ends = [match.end() for match in place.finditer(text)]
    starts = [0, *ends]
    stops = [*ends, len(text)]
    return [text[start:stop] for start, stop in zip(starts, stops, strict=True) if start < stop]


def _fitting(sentence: str, room: int, count: Count) -> list[str]:
    (tokens,) = count([sentence])
    if tokens <= room:
        return [sentence]
    words = _split(sentence, _WORD)
    sizes = count(words)
    short = [
        [word] if size <= room else _halves(word, room, count)
        for word, size in zip(words, sizes, strict=True)
    ]
    flat = [word for group in short for word in group]
    return _packed(flat, count(flat), room)


def _halves(text: str, room: int, count: Count) -> list[str]:
    """Halved between characters until each part fits."""
    (tokens,) = count([text])
    if tokens <= room or len(text) < 2:
        return [text]
    middle = len(text) // 2
    return [*_halves(text[:middle], room, count), *_halves(text[middle:], room, count)]


def _packed(pieces: Sequence[str], sizes: Sequence[int], room: int) -> list[str]:
    """Neighbours put together as long as they fit."""
    return ["".join(group) for group in _groups(pieces, sizes, room)]


def _groups(pieces: Sequence[str], sizes: Sequence[int], room: int) -> Iterator[list[str]]:
    group: list[str] = []
    used = 0
    for piece, size in zip(pieces, sizes, strict=True):
        if group and used + size > room:
            yield group
            group, used = [], 0
        group.append(piece)
        used += size
    if group:
        yield group
