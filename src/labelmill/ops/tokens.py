"""Tokens: texts, or pairs of texts, to ragged model inputs.

The result equals `processor(text, text_pair, truncation=True, max_length=...)` row by row. There,
an empty or null second text means a single text. A row without any token (an empty text where the
tokenizer adds no special tokens) has no sequence. Fast tokenizers are called in batches at their
Rust backend, of single texts mostly for words that they have not seen yet (`ops.words`); how many
threads that takes is the caller's affair (TOKENIZERS_PARALLELISM, RAYON_NUM_THREADS).
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import numpy.typing as npt

from labelmill.batch import Encoded, ModelFacts
from labelmill.errors import ConfigError, ModelError
from labelmill.ops.framing import Frame
from labelmill.ops.prefixes import LONG, Prefixes, Text
from labelmill.ops.text_batches import batches
from labelmill.ops.words import Words, words_of

if TYPE_CHECKING:  # importing it for real costs seconds, and this module is imported for --help
    from transformers import PreTrainedTokenizerBase

Ids = npt.NDArray[np.int32]


def length_limit(
    facts: ModelFacts,
    wanted: int | None,
    advice: str = "options.long_text 'window' uses the rest of a text too",
) -> int | None:
    """Tokens of a sequence at most, where options.max_length says `wanted`; None: any number.

    Raises ConfigError, which ends in `advice`, where the model breaks at such a length.
    """
    if wanted is not None and facts.positions is not None and wanted > facts.positions:
        raise ConfigError(
            f"options.max_length: {wanted} tokens are more than this model takes "
            f"({facts.positions}); lower it; {advice}"
        )
    return facts.max_length if wanted is None else wanted


def pair_up(texts: Sequence[str], others: Sequence[str | None] | None) -> list[Text]:
    """Texts as the tokenizer takes them; a pair only where the second text is not empty."""
    if others is None:
        return list(texts)
    return [(text, other) if other else text for text, other in zip(texts, others, strict=True)]


def truncated(
    texts: Sequence[Text], processor: "PreTrainedTokenizerBase", max_length: int | None
) -> Encoded:
    """One sequence a row, cut to `max_length` tokens (None: not at all), pairs longest first.

    Raises ConfigError where `max_length` has no room for text beside the special tokens.
    """
    if max_length is not None:
        _room(texts, processor, max_length)
    if not processor.is_fast:
        return ragged(_slow(texts, processor, max_length), processor)
    backend = backend_of(processor)
    words, right = words_of(backend), processor.truncation_side == "right"
    if max_length is not None and right:
        counted = None if words is None else words.count
        texts = list(map(Prefixes(backend, max_length, counted).of, texts))
    frame = Frame.of(backend)
    if words and frame and _all_single(texts) and (right or max_length is None):
        return _from_words(texts, words, frame, processor, max_length)
    if max_length is None:
        encode = backend.encode_batch_fast
    else:
        encode = _Truncation(backend, max_length, processor.truncation_side).encode
    encodings = (encoding for batch in batches(texts) for encoding in encode(batch))
    return ragged(((encoding,) for encoding in encodings), processor)


def _all_single(texts: Sequence[Text]) -> TypeGuard[Sequence[str]]:
    return all(isinstance(text, str) for text in texts)


def _from_words(
    texts: Sequence[str],
    words: Words,
    frame: Frame,
    processor: "PreTrainedTokenizerBase",
    max_length: int | None,
) -> Encoded:
    ids, lengths = frame.around(words.ids(texts), max_length)
    inputs = {"input_ids": ids}
    if "token_type_ids" in processor.model_input_names:
        inputs["token_type_ids"] = frame.types(lengths)
    rows = np.flatnonzero(lengths).astype(np.int32)
    return Encoded(rows=rows, lengths=lengths[rows], inputs=inputs)


class _Truncation:
    """The backend's own, but for pairs of two long texts.

    Of those the backend makes every cut-off piece of one with every one of the other, which takes
    memory by the product of their lengths.
    """

    def __init__(self, backend: Any, max_length: int, side: str) -> None:
        backend.enable_truncation(max_length, strategy="longest_first", direction=side)
        self._backend = backend
        self._most = LONG * max_length
        self._room = max_length - backend.num_special_tokens_to_add(is_pair=True)
        self._side = side

    def encode(self, batch: Sequence[Text]) -> Iterator[Any]:
        """The encodings, in order."""
        others = [text for text in batch if not self._heavy(text)]
        found = iter(self._backend.encode_batch_fast(others))
        for text in batch:
            yield self._pair(*text) if self._heavy(text) else next(found)

    def _heavy(self, text: Text) -> TypeGuard[tuple[str, str]]:
        return isinstance(text, tuple) and min(map(len, text)) > self._most

    def _pair(self, first: str, second: str) -> Any:
        bare = [self._backend.encode(text, add_special_tokens=False) for text in (first, second)]
        sizes = _longest_first(_tokens(bare[0]), _tokens(bare[1]), self._room)
        for encoding, size in zip(bare, sizes, strict=True):
            encoding.truncate(size, direction=self._side)
        return self._backend.post_process(*map(_alone, bare))


def _tokens(encoding: Any) -> int:
    """How many there are, those that were cut off among them."""
    return sum(len(piece.ids) for piece in (encoding, *encoding.overflowing))


def _longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of each are kept: as the backend has it, of two that are long half each."""
    if first + second <= room:
        return first, second
    short = min(first, second, room // 2)
    return (room - short, short) if first > second else (short, room - short)


def windowed(
    texts: Sequence[Text], processor: "PreTrainedTokenizerBase", max_length: int, stride: int
) -> Encoded:
    """Every token of every row: long rows as windows of `max_length` that share `stride` tokens.

    Of a pair the longer text is cut into windows, the second of two equal ones; the other is
    repeated in each, cut to half of the room if need be. Raises ConfigError where windows of this
    size cannot share so many tokens, ModelError for a tokenizer without a fast backend.
    """
    if not processor.is_fast:
        raise ModelError(
            f"options.long_text: 'window' needs a fast tokenizer, and this model has only "
            f"{type(processor).__name__!r}; use 'truncate', or add a tokenizer.json to the model"
        )
    refuse_wide(stride, _room(texts, processor, max_length))
    backend = backend_of(processor)
    cutter = _Cutter(backend, max_length, stride)
    return ragged((windows for batch in batches(texts) for windows in cutter.cut(batch)), processor)


class _Cutter:
    """Cuts the token ids of a text first, and only then adds special tokens to each piece.

    The backend's own windows (`enable_truncation(stride=...)`) lose the token types of a pair.
    """

    def __init__(self, backend: Any, max_length: int, stride: int) -> None:
        self._backend = backend
        self._single = max_length - backend.num_special_tokens_to_add(is_pair=False)
        self._paired = max_length - backend.num_special_tokens_to_add(is_pair=True)
        self._stride = stride

    def cut(self, batch: Sequence[Text]) -> Iterator[Sequence[Any]]:
        """The encodings of each row of the batch."""
        parts = [text if isinstance(text, tuple) else (text,) for text in batch]
        flat = [text for pair in parts for text in pair]
        bare = iter(self._backend.encode_batch_fast(flat, add_special_tokens=False))
        for pair in parts:
            first = next(bare)
            yield self._singles(first) if len(pair) == 1 else self._pairs(first, next(bare))

    def _singles(self, text: Any) -> list[Any]:
        return [self._backend.post_process(piece) for piece in self._pieces(text, self._single)]

    def _pairs(self, first: Any, second: Any) -> list[Any]:
        first_is_longer = len(first.ids) > len(second.ids)
        kept, cut = (second, first) if first_is_longer else (first, second)
        if len(kept.ids) + len(cut.ids) > self._paired:
            kept.truncate(self._paired // 2)
            kept = _alone(kept)
        first_piece, *others = self._pieces(cut, self._paired - len(kept.ids))
        pieces = [_alone(first_piece), *others]
        if first_is_longer:
            return [self._backend.post_process(piece, kept) for piece in pieces]
        return [self._backend.post_process(kept, piece) for piece in pieces]

    def _pieces(self, text: Any, size: int) -> list[Any]:
        text.truncate(size, stride=self._stride)
        return [text, *text.overflowing]


def _alone(encoding: Any) -> Any:
    """The encoding without what was cut off it, of which pairs would make every combination."""
    if encoding.overflowing:
        state = json.loads(encoding.__getstate__())
        encoding.__setstate__(json.dumps({**state, "overflowing": []}).encode())
    return encoding


def backend_of(processor: "PreTrainedTokenizerBase") -> Any:
    """The Rust tokenizer, set as transformers sets it before each call."""
    backend = processor.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    backend.encode_special_tokens = processor.split_special_tokens
    return backend


def refuse_wide(stride: int, room: int) -> None:
    """Raise ConfigError where windows with `room` for text cannot share so many tokens."""
    if stride * 2 >= room:
        raise ConfigError(
            f"options.stride: {stride} shared tokens are too many for windows that hold {room} "
            f"tokens of text; lower it to {(room - 1) // 2} or less"
        )


def _room(texts: Sequence[Text], processor: "PreTrainedTokenizerBase", max_length: int) -> int:
    """Tokens left for text in the worst kind of row there is."""
    return room_for_text(processor, max_length, pair=any(isinstance(text, tuple) for text in texts))


def room_for_text(
    processor: "PreTrainedTokenizerBase", max_length: int, *, pair: bool = False
) -> int:
    """Tokens left beside the special ones; raises ConfigError where there are none."""
    special = processor.num_special_tokens_to_add(pair=pair)
    if max_length <= special:
        raise ConfigError(
            f"options.max_length: {max_length} leaves no room beside the {special} special tokens "
            f"of this model; expected at least {special + 1}"
        )
    return int(max_length - special)


class _SlowEncoding:
    """What a Python tokenizer returns, with the names of the Rust one."""

    def __init__(self, inputs: Any) -> None:
        self.ids = inputs["input_ids"]
        self.type_ids = inputs.get("token_type_ids")


def _slow(
    texts: Sequence[Text], processor: "PreTrainedTokenizerBase", max_length: int | None
) -> Iterator[Sequence[Any]]:
    for text in texts:
        first, second = text if isinstance(text, tuple) else (text, None)
        cut = max_length is not None
        yield (_SlowEncoding(processor(first, second, truncation=cut, max_length=max_length)),)


def ragged(rows: Iterable[Sequence[Any]], processor: "PreTrainedTokenizerBase") -> Encoded:
    """The encodings of each row, as the backend gives them, as sequences; empty ones are none."""
    numbers: list[int] = []
    columns: dict[str, list[Ids]] = {"input_ids": []}
    if "token_type_ids" in processor.model_input_names:
        columns["token_type_ids"] = []
    for row, encodings in enumerate(rows):
        for encoding in encodings:
            ids = np.array(encoding.ids, dtype=np.int32)
            if not len(ids):
                continue
            numbers.append(row)
            columns["input_ids"].append(ids)
            if "token_type_ids" in columns:
                columns["token_type_ids"].append(np.array(encoding.type_ids, dtype=np.int32))
    return Encoded(
        rows=np.array(numbers, dtype=np.int32),
        lengths=np.array([len(ids) for ids in columns["input_ids"]], dtype=np.int32),
        inputs={
            name: np.concatenate([np.zeros(0, np.int32), *ids]) for name, ids in columns.items()
        },
    )
