"""Token spans: texts, or lists of words, to model inputs whose tokens know where they come from.

The tokens are those of `processor(text, ...)`, or of `processor(words, is_split_into_words=True)`.
Each has three marks:

    "start", "end"  the characters (code points) it stands for: of the text, or of the words joined
                    by single spaces; as the tokenizer counts them, so that some include the white
                    space before a word
    "word"          the word it belongs to, counted from 0 in each row; -1 for a special token, and
                    for a token that is read in another window

So the tokens whose word is not negative are, in order, each token of each text once, however it was
cut into windows. A list of words has its words. A text has those that transformers' pipeline sees:
where the tokenizer marks the pieces that go on with a word ("##ing"), it is believed; elsewhere a
word begins at a space, and a comma belongs to the word before it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from labelmill.batch import Encoded
from labelmill.errors import ModelError
from labelmill.ops import tokens
from labelmill.ops.prefixes import Prefixes
from labelmill.ops.text_batches import batches
from labelmill.ops.tokens import Ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MARKS = ("start", "end", "word")
NO_WORD = -1  # of a special token, or one that is read in another window

_SPACE = ord(" ")
_Row = dict[str, Ids]  # "input_ids", "token_type_ids" and MARKS of one text, all of equal length


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What becomes of a text that is longer than a sequence may be."""

    max_length: int | None  # tokens of a sequence, special ones included; None: any number
    # Tokens that neighbouring windows share; None: no windows, the head (or tail) is used.
    stride: int | None


def of_texts(texts: Sequence[str], processor: "PreTrainedTokenizerBase", cut: Cut) -> Encoded:
    """One sequence a text, or its windows; a text without any token has none.

    A token in two windows is read where it is farther from the edge that was cut. Raises
    ConfigError where `cut` leaves no room, ModelError for a tokenizer without a fast backend.
    """
    backend = _checked(processor, cut)
    count = _WordCount(backend, processor)
    if cut.max_length is not None and cut.stride is None and processor.truncation_side == "right":
        texts = [str(text) for text in map(Prefixes(backend, cut.max_length).of, texts)]
    encodings = (one for batch in batches(texts) for one in backend.encode_batch(batch))
    rows = (
        _row(encoding, count.of(encoding, text))
        for encoding, text in zip(encodings, texts, strict=True)
    )
    return _ragged(enumerate(rows), processor, cut)


def of_words(
    rows: Sequence[Sequence[str] | None], processor: "PreTrainedTokenizerBase", cut: Cut
) -> Encoded:
    """The same of lists of words; None has no sequence."""
    backend = _checked(processor, cut)
    present = [number for number, words in enumerate(rows) if words is not None]
    lists = [list(words) for words in rows if words is not None]
    encodings = (
        encoding
        for batch in batches(lists)
        for encoding in backend.encode_batch(batch, is_pretokenized=True)
    )
    found = (_given(encoding, words) for encoding, words in zip(encodings, lists, strict=True))
    return _ragged(zip(present, found, strict=True), processor, cut)


def _checked(processor: "PreTrainedTokenizerBase", cut: Cut) -> Any:
    """The Rust tokenizer, if everything fits."""
    if not processor.is_fast:
        raise ModelError(
            "this task needs a fast tokenizer, which knows the characters of a token, and this "
            f"model has only {type(processor).__name__!r}; add a tokenizer.json to the model"
        )
    if cut.max_length is not None:
        room = tokens.room_for_text(processor, cut.max_length)
        tokens.refuse_wide(cut.stride or 0, room)
    return tokens.backend_of(processor)


class _WordCount:
    """Numbers the words of a text as transformers' pipeline does."""

    def __init__(self, backend: Any, processor: "PreTrainedTokenizerBase") -> None:
        self._unknown = processor.unk_token_id
        self._lengths: npt.NDArray[np.int64] | None = None  # characters of each token by id
        if getattr(backend.model, "continuing_subword_prefix", None):
            vocabulary = backend.get_vocab(with_added_tokens=True)
            self._lengths = np.zeros(max(vocabulary.values()) + 1, np.int64)
            self._lengths[list(vocabulary.values())] = [len(token) for token in vocabulary]

    def of(self, encoding: Any, text: str) -> Ids:
        """[tokens] the word of each; what it says of special tokens means nothing."""
        ids, spans = np.array(encoding.ids, dtype=np.int64), _offsets(encoding)
        goes_on = self._goes_on(ids, spans, text)
        if self._unknown is not None:
            goes_on &= ids != self._unknown
        content = np.flatnonzero(np.array(encoding.special_tokens_mask) == 0)
        goes_on[content[:1]] = True  # so that words are counted from 0
        words = np.zeros(len(ids), np.int32)
        words[content] = np.cumsum(~goes_on[content])
        return words

    def _goes_on(self, ids: npt.NDArray[np.int64], spans: Ids, text: str) -> npt.NDArray[np.bool_]:
        """[tokens] whether it belongs to the word before it."""
        if self._lengths is not None:
            return np.asarray(self._lengths[ids] != spans[:, 1] - spans[:, 0])
        spaces = np.frombuffer(text.encode("utf-32-le"), np.uint32) == _SPACE
        around = np.concatenate([[True], spaces, [False]])  # around[i + 1] is of character i
        starts = spans[:, 0]
        return np.asarray(~(around[starts] | around[starts + 1]), np.bool_)


def _offsets(encoding: Any) -> Ids:
    """[tokens, 2] start and end characters."""
    flat = chain.from_iterable(encoding.offsets)
    return np.fromiter(flat, np.int32, 2 * len(encoding)).reshape(-1, 2)


def _given(encoding: Any, words: Sequence[str]) -> _Row:
    """The row of a list of words, whose encoding counts characters within each word."""
    numbers = np.array([NO_WORD if word is None else word for word in encoding.word_ids], np.int32)
    lengths = np.array([len(word) + 1 for word in words], np.int32)  # with the space after it
    begins = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    row = _row(encoding, numbers)
    for name in ("start", "end"):
        row[name] = row[name] + begins[np.maximum(numbers, 0)]
    return row


def _row(encoding: Any, words: Ids) -> _Row:
    spans = _offsets(encoding)
    special = np.array(encoding.special_tokens_mask, dtype=np.bool_)
    return {
        "input_ids": np.array(encoding.ids, dtype=np.int32),
        "token_type_ids": np.array(encoding.type_ids, dtype=np.int32),
        "start": spans[:, 0],
        "end": spans[:, 1],
        "word": np.where(special, np.int32(NO_WORD), words),
    }


def _ragged(
    rows: Iterable[tuple[int, _Row]], processor: "PreTrainedTokenizerBase", cut: Cut
) -> Encoded:
    inputs = [name for name in ("input_ids", "token_type_ids") if name in _taken(processor)]
    columns: dict[str, list[Ids]] = {name: [np.zeros(0, np.int32)] for name in (*inputs, *MARKS)}
    numbers: list[int] = []
    lengths: list[int] = []
    left = processor.truncation_side == "left"
    for number, row in rows:
        for sequence in _sequences(row, cut, left=left):
            numbers.append(number)
            lengths.append(len(sequence["input_ids"]))
            for name, pieces in columns.items():
                pieces.append(sequence[name])
    ragged = {name: np.concatenate(pieces) for name, pieces in columns.items()}
    return Encoded(
        rows=np.array(numbers, dtype=np.int32),
        lengths=np.array(lengths, dtype=np.int32),
        inputs={name: ragged[name] for name in inputs},
        marks={name: ragged[name] for name in MARKS},
    )


def _taken(processor: "PreTrainedTokenizerBase") -> Sequence[str]:
    return ("input_ids", *processor.model_input_names)


def _sequences(row: _Row, cut: Cut, *, left: bool) -> Iterator[_Row]:
    """The row as it is if it fits, else its head, its tail, or its windows."""
    length = len(row["input_ids"])
    if cut.max_length is None or length <= cut.max_length:
        if length:
            yield row
        return
    content = np.flatnonzero(row["word"] != NO_WORD)
    first, stop = int(content[0]), int(content[-1]) + 1
    room = cut.max_length - first - (length - stop)
    if cut.stride is None:
        start = stop - room if left else first
        yield _piece(row, (first, stop), (start, start + room), (start, start + room))
        return
    for window, owned in _windows(first, stop, room, cut.stride):
        yield _piece(row, (first, stop), window, owned)


Span = tuple[int, int]


def _windows(first: int, stop: int, room: int, stride: int) -> Iterator[tuple[Span, Span]]:
    """Windows over [first, stop), and of each the part that is read there."""
    begin, owned = first, first
    while begin + room < stop:
        until = begin + room - stride // 2
        yield (begin, begin + room), (owned, until)
        begin, owned = begin + room - stride, until
    yield (begin, stop), (owned, stop)


def _piece(row: _Row, content: Span, window: Span, owned: Span) -> _Row:
    """The window between the special tokens of the row; words only where it owns the token."""
    first, stop = content
    words = np.full_like(row["word"], NO_WORD)
    words[slice(*owned)] = row["word"][slice(*owned)]
    return {
        name: np.concatenate([values[:first], values[slice(*window)], values[stop:]])
        for name, values in {**row, "word": words}.items()
    }
