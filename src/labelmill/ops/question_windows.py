"""Question windows: questions and long contexts to windows that each hold the whole question.

As the scripts for SQuAD cut: the question's head is repeated in every window, the context's tokens
are laid over the windows, neighbours sharing `stride` of them. Which of the two comes first is the
tokenizer's `padding_side`: the context is next to where padding would be. Marks say of each token
which characters of the context it covers. It does not know what a model answers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from labelmill.batch import Encoded
from labelmill.errors import ConfigError, ModelError
from labelmill.ops import tokens
from labelmill.ops.text_batches import batches

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Ids = npt.NDArray[np.int32]

# In the mark "start", for tokens that cover no character of the context.
OUTSIDE = -1  # the question and special tokens
NO_ANSWER = -2  # the classification token, to which models point where there is no answer

# All that `str.isspace` knows.
_SPACES = np.array([ord(char) for char in map(chr, range(0x3001)) if char.isspace()], np.uint32)
_PROBE = ("a", "a a")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How much of question and context goes into a window, in tokens."""

    max_length: int  # of a window, special tokens included
    question: int  # that a question is cut to
    stride: int  # that neighbouring windows share


def encode(
    questions: Sequence[str],
    contexts: Sequence[str],
    processor: "PreTrainedTokenizerBase",
    cut: Cut,
) -> Encoded:
    """The windows of each row; a row whose context has no token has none.

    Marks "start" and "end" are characters (Unicode code points) of the context, white space at the
    edges of a token left out: equal where it covers nothing else. Raises ConfigError where
    windows of this size have no room, ModelError for a tokenizer without a fast backend.
    """
    if not processor.is_fast:
        raise ModelError(
            "question-answering needs a fast tokenizer, which knows the characters of its tokens, "
            f"and this model has only {type(processor).__name__!r}; add a tokenizer.json to it"
        )
    backend = tokens.backend_of(processor)
    layout = _layout(backend, processor)
    _refuse_narrow(cut, layout.special)
    written = _Written("token_type_ids" in processor.model_input_names)
    pairs = list(zip(questions, contexts, strict=True))
    row = 0
    for batch in batches(pairs):
        asked = backend.encode_batch_fast([pair[0] for pair in batch], add_special_tokens=False)
        read = backend.encode_batch([pair[1] for pair in batch], add_special_tokens=False)
        for question, context, (_, text) in zip(asked, read, batch, strict=True):
            head = _question(question, cut.question)
            size = cut.max_length - layout.special - len(head)
            for piece in _pieces(_context(context, text), size, cut.stride):
                written.add(row, layout.around(head, piece))
            row += 1
    return written.encoded()


def _refuse_narrow(cut: Cut, special: int) -> None:
    room = cut.max_length - special - cut.question
    if room <= cut.stride:
        raise ConfigError(
            f"options.max_length: windows of {cut.max_length} tokens have room for {room} of the "
            f"context, beside {special} special tokens and a question of up to {cut.question} "
            f"(options.max_question_length), but shall share {cut.stride} (options.stride); "
            f"expected max_length of at least {special + cut.question + cut.stride + 1}"
        )


@dataclass(frozen=True, slots=True)
class _Tokens:
    """Tokens side by side, one entry of each array a token."""

    ids: Ids
    types: Ids
    starts: Ids
    ends: Ids

    def __getitem__(self, part: slice) -> "_Tokens":
        return _Tokens(self.ids[part], self.types[part], self.starts[part], self.ends[part])

    def __len__(self) -> int:
        return len(self.ids)

    def typed(self, kind: int) -> "_Tokens":
        return _Tokens(self.ids, np.full(len(self), kind, np.int32), self.starts, self.ends)


@dataclass(frozen=True, slots=True)
class _Layout:
    """What a tokenizer puts before, between and after the two texts of a pair."""

    question_first: bool
    edges: tuple[_Tokens, _Tokens, _Tokens]
    types: tuple[int, int]  # of the first and of the second text

    @property
    def special(self) -> int:
        return sum(map(len, self.edges))

    def around(self, question: _Tokens, context: _Tokens) -> list[_Tokens]:
        """The parts of one window in their order."""
        before, between, after = self.edges
        first, second = (question, context) if self.question_first else (context, question)
        return [before, first.typed(self.types[0]), between, second.typed(self.types[1]), after]


def _layout(backend: Any, processor: "PreTrainedTokenizerBase") -> _Layout:
    """Learnt from one pair: a tokenizer adds the same tokens to every pair.

    Its own post-processing of each pair would trim the offsets of byte-level tokens twice.
    """
    first, second = (backend.encode(text, add_special_tokens=False) for text in _PROBE)
    whole = backend.post_process(first, second)
    ids, types = np.array(whole.ids, np.int32), np.array(whole.type_ids, np.int32)
    special = np.array(whole.special_tokens_mask, np.bool_)
    places = np.full(len(ids), OUTSIDE, np.int32)
    if processor.cls_token_id is not None:
        places[np.flatnonzero(special & (ids == processor.cls_token_id))[:1]] = NO_ANSWER
    edges = _Tokens(ids, types, places, places)
    texts = np.flatnonzero(~special)
    ends = texts[len(first.ids) - 1] + 1, texts[len(first.ids)]
    return _Layout(
        question_first=processor.padding_side == "right",
        edges=(edges[: texts[0]], edges[ends[0] : ends[1]], edges[texts[-1] + 1 :]),
        types=(int(types[texts[0]]), int(types[texts[-1]])),
    )


def _question(encoding: Any, size: int) -> _Tokens:
    ids = np.array(encoding.ids[:size], np.int32)
    outside = np.full(len(ids), OUTSIDE, np.int32)
    return _Tokens(ids, np.zeros_like(ids), outside, outside)


def _context(encoding: Any, text: str) -> _Tokens:
    ids = np.array(encoding.ids, np.int32)
    flat = chain.from_iterable(encoding.offsets)
    offsets = np.fromiter(flat, np.int64, 2 * len(ids)).reshape(len(ids), 2)
    starts, ends = trimmed(text, offsets)
    return _Tokens(ids, np.zeros_like(ids), starts, ends)


def trimmed(text: str, offsets: npt.NDArray[np.int64]) -> tuple[Ids, Ids]:
    """Starts and ends of spans [spans, 2] of characters without white space at their edges.

    A span of white space alone becomes empty: its end is its start.
    """
    letters = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    places = np.flatnonzero(~np.isin(letters, _SPACES))
    if not len(places):
        return offsets[:, 0].astype(np.int32), offsets[:, 0].astype(np.int32)
    first = np.searchsorted(places, offsets[:, 0])
    last = np.searchsorted(places, offsets[:, 1]) - 1
    solid = first <= last
    starts = np.where(solid, places[np.minimum(first, len(places) - 1)], offsets[:, 0])
    ends = np.where(solid, places[last] + 1, starts)
    return starts.astype(np.int32), ends.astype(np.int32)


def _pieces(context: _Tokens, size: int, stride: int) -> Iterator[_Tokens]:
    for start in range(0, len(context), size - stride):
        yield context[start : start + size]
        if start + size >= len(context):
            return


class _Written:
    """The windows so far."""

    def __init__(self, typed: bool) -> None:  # noqa: FBT001 - the model's, no switch
        self._typed = typed
        self._rows: list[int] = []
        self._lengths: list[int] = []
        self._parts = [_Tokens(*[np.zeros(0, np.int32)] * 4)]

    def add(self, row: int, parts: list[_Tokens]) -> None:
        self._rows.append(row)
        self._lengths.append(sum(map(len, parts)))
        self._parts += parts

    def encoded(self) -> Encoded:
        inputs = {"input_ids": np.concatenate([part.ids for part in self._parts])}
        if self._typed:
            inputs["token_type_ids"] = np.concatenate([part.types for part in self._parts])
        return Encoded(
            rows=np.array(self._rows, np.int32),
            lengths=np.array(self._lengths, np.int32),
            inputs=inputs,
            marks={
                "start": np.concatenate([part.starts for part in self._parts]),
                "end": np.concatenate([part.ends for part in self._parts]),
            },
        )
