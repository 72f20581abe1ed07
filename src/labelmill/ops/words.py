"""Words: the tokens of a text put together from those of its words, each tokenized once.

A text is mostly words that were seen before. Where a tokenizer splits at every single space between
printable ASCII characters, whatever stands around, the tokens of a text are those of its pieces,
each with the space before it; so they are looked up, and only new pieces are tokenized. It promises
the tokenizer's own tokens; a tokenizer of which that is not known gets no `Words`.
"""

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from labelmill.ops import prefixes
from labelmill.ops.text_batches import batches

# ASCII on both sides of the space: no normalizer joins it with anything, or makes two pieces one.
_BETWEEN = re.compile(" (?<=[!-~] )(?=[!-~])")
_KEPT = 100_000  # pieces that are remembered, in about 25 MB; then all are forgotten
_LONGEST = 40  # characters of a piece that is remembered; text without spaces is one piece
_JOINED = 500  # words that are read as one text
_ITEM = np.dtype(np.int32).itemsize


class Words:
    """Of one `tokenizers.Tokenizer`; what it has seen it remembers."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._inner = prefixes.inner_rule(backend)
        self._word = prefixes.word_rule(backend)
        self._added = _Added(backend)
        self._known = _Memory(self._tokenized)

    def ids(self, texts: Sequence[str]) -> list[bytes]:
        """The ids of each text as int32 bytes, without special tokens."""
        split = list(map(self._split, texts))
        known = self._known.of(set().union(*split))
        return [b"".join(map(known.__getitem__, pieces)) for pieces in split]

    def count(self, text: str) -> int:
        """How many tokens a text has, special ones not counted."""
        return len(self.ids([text])[0]) // _ITEM

    def _split(self, text: str) -> list[str]:
        inner = None if self._inner is None or self._added.may_be_in(text) else self._inner
        if inner is not None and text.isascii():
            return inner.findall(text)
        first, *others = _BETWEEN.split(text)
        pieces = [first, *(f" {piece}" for piece in others)]
        if inner is None:
            return pieces
        return [
            part
            for piece in pieces
            for part in (inner.findall(piece) if piece.isascii() else (piece,))
        ]

    def _tokenized(self, pieces: Sequence[str]) -> Iterable[bytes]:
        """The ids of pieces from the backend, which reads words faster as one text."""
        plain = list(filter(self._is_plain, pieces))
        found: dict[str, bytes] = {}
        for start in range(0, len(plain), _JOINED):
            found |= self._read_as_one(plain[start : start + _JOINED])
        alone = [piece for piece in pieces if piece not in found]
        found |= zip(alone, self._one_by_one(alone), strict=True)
        return (found[piece] for piece in pieces)

    def _is_plain(self, piece: str) -> bool:
        """Whether it is one word, however it is put together with others."""
        return self._word.fullmatch(piece) is not None and not self._added.may_be_in(piece)

    def _read_as_one(self, words: Sequence[str]) -> Mapping[str, bytes]:
        """The ids of plain words; of none where there is one without a token."""
        (encoding,) = self._backend.encode_batch(["".join(words)], add_special_tokens=False)
        ends = np.flatnonzero(np.diff(encoding.word_ids, append=-1)) + 1
        if len(ends) != len(words):
            return {}
        ids, stops = np.array(encoding.ids, np.int32).tobytes(), (ends * _ITEM).tolist()
        bounds = itertools.pairwise([0, *stops])
        return {word: ids[a:b] for word, (a, b) in zip(words, bounds, strict=True)}

    def _one_by_one(self, pieces: Sequence[str]) -> Iterable[bytes]:
        for batch in batches(pieces):
            for encoding in self._backend.encode_batch_fast(batch, add_special_tokens=False):
                yield np.array(encoding.ids, np.int32).tobytes()


class _Memory:
    """Pieces with their ids; of short ones so many, of long ones none beyond the next call."""

    def __init__(self, make: Callable[[Sequence[str]], Iterable[bytes]]) -> None:
        self._make = make
        self._known: dict[str, bytes] = {}
        self._long: list[str] = []

    def of(self, wanted: set[str]) -> Mapping[str, bytes]:
        """The ids of all wanted pieces, at least."""
        for piece in self._long:
            del self._known[piece]
        if len(self._known) > _KEPT:
            self._known.clear()
        new = [piece for piece in wanted if piece not in self._known]
        self._known |= zip(new, self._make(new), strict=True)
        self._long = [piece for piece in new if len(piece) > _LONGEST]
        return self._known


class _Added:
    """The added tokens of a tokenizer, which no finer rule may cut."""

    def __init__(self, backend: Any) -> None:
        tokens = backend.get_added_tokens_decoder().values()
        self._lower = any(token.normalized for token in tokens)
        self._marks = {self._as_compared(token.content)[:3] for token in tokens}

    def may_be_in(self, text: str) -> bool:
        """True where there is one, and now and then where there is only its beginning."""
        text = self._as_compared(text)
        return any(mark in text for mark in self._marks)

    def _as_compared(self, text: str) -> str:
        return text.lower() if self._lower else text


def words_of(backend: Any) -> Words | None:
    """The words of a tokenizer, the same for the time of the process; None where it may not be.

    `backend` must not truncate or pad.
    """
    sizes = backend.get_vocab_size(), len(backend.get_added_tokens_decoder())
    return _words_of(backend, sizes, backend.encode_special_tokens)


@functools.lru_cache(maxsize=4)
def _words_of(backend: Any, sizes: tuple[int, int], special: bool) -> Words | None:  # noqa: FBT001 - of a key
    del sizes, special  # they tell a tokenizer from what it was before somebody changed it
    if prefixes.rule(backend) is None or not prefixes.keeps_leading_spaces(backend):
        return None
    if getattr(backend.model, "dropout", None):
        return None
    tokens = backend.get_added_tokens_decoder().values()
    return Words(backend) if all(map(_stays_apart, tokens)) else None


def _stays_apart(token: Any) -> bool:
    """Whether an added token takes no space that is another piece's; see `prefixes.rule` too."""
    return not token.rstrip and re.search("[!-~] ", token.content) is None
