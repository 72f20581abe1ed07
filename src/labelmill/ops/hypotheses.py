"""Hypotheses: texts against sentences about them, for models of natural language inference.

A text is the premise of one sequence for each hypothesis; where both are too long for the model,
the text is cut, never the hypothesis. How the logits become scores is the rule of the zero-shot
pipeline of transformers.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from labelmill.batch import Array, Encoded
from labelmill.errors import ConfigError, ModelError
from labelmill.ops import scores, tokens
from labelmill.ops.prefixes import Prefixes
from labelmill.ops.text_batches import batches

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def entailment(labels: Sequence[str]) -> int | None:
    """The id of the label that means entailment; None for a model that has none."""
    found = (number for number, label in enumerate(labels) if label.lower().startswith("entail"))
    return next(found, None)


def paired(
    texts: Sequence[str],
    hypotheses: Sequence[str],
    processor: "PreTrainedTokenizerBase",
    max_length: int | None,
) -> Encoded:
    """One sequence for each text and hypothesis, those of a text side by side.

    Each is what the tokenizer makes of the pair with truncation "only_first". Raises ConfigError
    where a hypothesis leaves no room for a text, ModelError for a slow tokenizer.
    """
    if not processor.is_fast:
        raise ModelError(
            "zero-shot-classification needs a fast tokenizer, and this model has only "
            f"{type(processor).__name__!r}; add a tokenizer.json to the model"
        )
    pairs = _Pairs(hypotheses, processor, max_length)
    return tokens.ragged((row for batch in batches(texts) for row in pairs.of(batch)), processor)


def label_scores(
    logits: Array, labels: Sequence[str], count: int, *, together: bool
) -> scores.Scores:
    """[texts * count, labels] -> [texts, count] in float32; raises ModelError for another shape.

    Where labels exclude each other (`together`), the logits of entailment are weighed against each
    other; else, or where there is only one, each entailment against its contradiction.
    """
    if logits.shape[1:] != (len(labels),):
        raise ModelError(
            f"the model gave logits of shape {logits.shape!r}, expected {len(labels)} in a row, "
            "one for each label of its config.json; the checkpoint does not fit the task"
        )
    found = logits.reshape(-1, count, len(labels))
    yes = entailment(labels)
    assert yes is not None  # noqa: S101 - else the model was refused
    if together and count > 1:
        return scores.softmax(found[:, :, yes])
    no = -1 if yes == 0 else 0
    return scores.softmax(found[:, :, [no, yes]])[:, :, 1]


class _Pairs:
    """Tokenizes each hypothesis once, and each text once for all of them."""

    def __init__(
        self,
        hypotheses: Sequence[str],
        processor: "PreTrainedTokenizerBase",
        max_length: int | None,
    ) -> None:
        self._backend = tokens.backend_of(processor)
        self._side = processor.truncation_side
        self._hypotheses = self._bare(hypotheses)
        places = range(len(hypotheses))
        self._rooms = [self._room(hypotheses, place, max_length) for place in places]
        # A text is cut again and again, so the one that leaves most of it comes first.
        self._order = sorted(places, key=lambda place: -self._rooms[place])
        self._prefixes = Prefixes(self._backend, max(self._rooms))

    def of(self, texts: Sequence[str]) -> Iterator[Sequence[Any]]:
        """The encodings of each text, in the order of the hypotheses."""
        for text in self._bare([self._beginning(text) for text in texts]):
            made: list[Any] = [None] * len(self._hypotheses)
            for place in self._order:
                text.truncate(self._rooms[place], direction=self._side)
                made[place] = self._backend.post_process(text, self._hypotheses[place])
            yield made

    def _beginning(self, text: str) -> str:
        """As much of a text as can matter."""
        head = self._prefixes.of(text) if self._side == "right" else text
        assert isinstance(head, str)  # noqa: S101 - as it was given
        return head

    def _bare(self, texts: Sequence[str]) -> list[Any]:
        found: list[Any] = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return found

    def _room(self, hypotheses: Sequence[str], place: int, max_length: int | None) -> int:
        """Tokens that a text may have beside a hypothesis."""
        if max_length is None:
            return 2**31 - 1
        special = self._backend.num_special_tokens_to_add(is_pair=True)
        room = max_length - special - len(self._hypotheses[place].ids)
        if room < 1:
            raise ConfigError(
                f"options.labels: {hypotheses[place]!r} leaves no room for a text in {max_length} "
                "tokens; shorten it, or raise options.max_length"
            )
        return int(room)
