"""Chat answers: where, in what a chat template makes of a chat, the assistant's answers are.

An answer begins where the prompt ends that labelling would give the model at this place: so the
template itself tells it, and no marker of any family is known here. A template may write an earlier
answer otherwise than the last one (leaving out its thoughts); then each answer makes a text of its
own, of the messages up to it. A template that does not write an answer after its own prompt is
refused, chat by chat.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from labelmill.errors import ModelError
from labelmill.learning import Examples
from labelmill.ops import chats, next_tokens
from labelmill.ops.chats import ASSISTANT, BadChat
from labelmill.ops.next_tokens import Learned, TooLong

Ids = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]
_SPACE = "\u2581"  # a space, in a token of sentencepiece


@dataclass(frozen=True, slots=True)
class Answered:
    """A text, and the spans of characters of it that are the assistant's."""

    text: str
    spans: tuple[tuple[int, int], ...]


def learned(
    chats_: Sequence[str],
    processor: Any,
    system: str | None,
    day: str | None,
    limit: int | None,
    *,
    refuse: bool,
) -> Examples:
    """What is learned of chats, as JSON text, in sequences of at most `limit` tokens.

    `system` and `day` are as in `chats.prompts`.

    A longer one loses its beginning, as a prompt does when labelling, or `refuse` makes it an error
    of its row. Raises ConfigError for a model without a chat template, ModelError.
    """
    chats.require_template(processor)
    if not processor.is_fast:
        raise ModelError(
            "to learn of chats needs a fast tokenizer, which knows the characters of its tokens, "
            f"and this model has only {type(processor).__name__!r}; add a tokenizer.json to it"
        )
    sequences: list[Learned] = []
    errors: dict[int, str] = {}
    for row, chat in enumerate(chats_):
        try:
            made = [tokenized(one, processor) for one in answered(chat, processor, system, day)]
            if refuse:
                next_tokens.refuse_long([ids for ids, _ in made], limit)
        except (BadChat, TooLong) as error:
            errors[row] = str(error)
            continue
        cut = (next_tokens.cut(*one, limit, processor.bos_token_id) for one in made)
        sequences += [(row, ids, ours) for ids, ours in cut]
    return next_tokens.examples(sequences, len(chats_), errors)


def answered(
    text: str, processor: Any, system: str | None, day: str | None = None
) -> list[Answered]:
    """The texts that are learned of a chat, as JSON text; raises BadChat where there are none."""
    messages = chats.messages_of(text, system)
    turns = [number for number, one in enumerate(messages) if one["role"] == ASSISTANT]
    if not turns:
        raise BadChat("the chat has no message of the assistant, of whom is to be learned")
    if turns[0] == 0:
        raise BadChat("the assistant's message is the first: there is nothing it answers")
    each = [_answered(messages[: turn + 1], processor, day) for turn in turns]
    whole = each[-1].text
    if all(whole.startswith(one.text) for one in each):
        return [Answered(whole, tuple(span for one in each for span in one.spans))]
    return each


def _answered(messages: Sequence[chats.Message], processor: Any, day: str | None) -> Answered:
    """The messages as a text, of which the last one is learned."""
    prompt = chats.written(messages[:-1], processor, day, prompt=True)
    text = chats.written(messages, processor, day)
    if not text.startswith(prompt) or len(text) == len(prompt):
        raise BadChat(
            "where its answers begin cannot be told: the model's chat template does not write "
            f"them after the head of an answer, {prompt[-30:]!r}"
        )
    # What follows the token of the end is no more written by the model.
    ended = text.rstrip()
    if ended.endswith(tuple(processor.all_special_tokens)) and len(ended) > len(prompt):
        text = ended
    return Answered(text, ((len(prompt), len(text)),))


def tokenized(answered: Answered, processor: Any) -> tuple[Ids, Bools]:
    """Its tokens by a fast tokenizer, and which of them are the assistant's.

    The prompt before an answer has the tokens that it has alone. Raises BadChat where that cannot
    be.
    """
    whole = _Part(answered.text, 0, processor)
    starts = [start for start, _ in answered.spans]
    if all(whole.has_edge(start) for start in starts):
        parts = [whole]
    else:
        bounds = [0, *starts, len(answered.text)]
        parts = [
            _Part(answered.text[start:end], start, processor) for start, end in pairwise(bounds)
        ]
    ours = [part.inside(answered.spans) for part in parts]
    return np.concatenate([part.ids for part in parts]), np.concatenate(ours)


class _Part:
    """Some characters of a text, tokenized by themselves."""

    def __init__(self, text: str, start: int, processor: Any) -> None:
        self._text, self._start, self._processor = text, start, processor
        found = processor(
            text,
            add_special_tokens=False,
            return_attention_mask=False,
            return_offsets_mapping=True,
        )
        self.ids: Ids = np.array(found["input_ids"], np.int32)
        self._begins = np.array(found["offset_mapping"], np.int64).reshape(-1, 2)[:, 0] + start
        first = processor.convert_ids_to_tokens(int(self.ids[0])) if start and len(self.ids) else ""
        if first.startswith(_SPACE) and not text.startswith((" ", _SPACE)):
            raise BadChat(
                "where its answers begin cannot be told: a token of this model covers the end of "
                f"the head of an answer and the beginning of the answer, {text[:20]!r}"
            )

    def has_edge(self, at: int) -> bool:
        """Whether the tokens before a character are those that they are without the rest."""
        alone = self._alone(at)
        return np.array_equal(alone, self.ids[: len(alone)])

    def inside(self, spans: Sequence[tuple[int, int]]) -> Bools:
        """[tokens] which of them lie in one of the spans."""
        ours = np.zeros(len(self.ids), np.bool_)
        for start, end in spans:
            ours[self._count(start) : self._count(end)] = True
        return ours

    def _count(self, at: int) -> int:
        """Tokens before a character. Places alone do not tell: byte-level ones leave spaces out."""
        if self.has_edge(at):
            return len(self._alone(at))
        return int(np.count_nonzero(self._begins < at))

    def _alone(self, at: int) -> Ids:
        text = self._text[: max(0, at - self._start)]
        found = self._processor(text, add_special_tokens=False, return_attention_mask=False)
        return np.array(found["input_ids"], np.int32)
