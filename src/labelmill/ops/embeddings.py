"""Embeddings: what makes a text's vector, as options and the checkpoint's own files say.

The files are those of sentence-transformers. A checkpoint without them is read as that library
would read it, by the mean over its tokens, but for one thing: its vectors have length 1. Shared by
the tasks that embed.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from labelmill.batch import ModelFacts, SentenceFacts
from labelmill.errors import ConfigError, ModelError
from labelmill.ops import tokens
from labelmill.ops.plugins import suggestion

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Vectors = npt.NDArray[np.float32]  # [rows, dimensions]

ALIKE = 0.99  # cosine of two vectors that say the same
# These have a decoder that wants inputs of its own; transformers can load their encoder alone.
_ENCODERS = frozenset({"t5", "mt5", "umt5"})


def model_class(facts: ModelFacts) -> str:
    """The class of transformers that has the hidden states of such a checkpoint."""
    return "AutoModelForTextEncoding" if facts.model_type in _ENCODERS else "AutoModel"


def described(facts: ModelFacts) -> SentenceFacts:
    """How the checkpoint makes an embedding; raises ModelError where we cannot do it."""
    if facts.sentence is not None:
        if facts.sentence.fault is not None:
            raise ModelError(
                f"the model's sentence-transformers files cannot be followed: "
                f"{facts.sentence.fault}; choose another model"
            )
        return facts.sentence
    if facts.hidden_size is None:
        raise ModelError(
            f"config.json of this {facts.model_type!r} model says no hidden_size, expected the "
            "width of its hidden states; choose a text encoder"
        )
    return SentenceFacts(pooling="mean", dimensions=facts.hidden_size, normalize=True)


def length_limit(facts: ModelFacts, wanted: int | None) -> int | None:
    """Tokens of a sequence at most; raises ConfigError where the model breaks at `wanted`."""
    sentence = described(facts)
    if wanted is not None or sentence.max_length is None:
        return tokens.length_limit(facts, wanted)
    return min(sentence.max_length, facts.positions or sentence.max_length)


def prompt(sentence: SentenceFacts, text: str | None, name: str | None) -> str:
    """What is put before each text: `text`, else the checkpoint's of that name, else its default.

    Raises ConfigError for a name that it does not have.
    """
    if text is not None:
        return text
    if name is not None and name not in sentence.prompts:
        known = ", ".join(map(repr, sentence.prompts)) or "none"
        advice = suggestion(name, sentence.prompts) or f"; it has {known}"
        raise ConfigError(f"options.prompt_name: this model has no prompt {name!r}{advice}")
    return sentence.prompts.get(name or sentence.prompt_name or "", "")


def prompted(sentence: SentenceFacts, text: str | None, name: str | None) -> SentenceFacts:
    """The same with what `prompt` finds as the prompt of who asks for none."""
    found = prompt(sentence, text, name)
    if text is None:
        return replace(sentence, prompt_name=name or sentence.prompt_name)
    if not found:
        return replace(sentence, prompt_name=None)
    names = {told: one for one, told in sentence.prompts.items()}
    chosen = names.get(found, "default")
    return replace(sentence, prompts={**sentence.prompts, chosen: found}, prompt_name=chosen)


def head(prompt: str, processor: "PreTrainedTokenizerBase", max_length: int | None) -> int:
    """Tokens at the head of a sequence that are the prompt's, the first special ones included.

    As sentence-transformers counts them: those of the prompt alone, but for a special one at the
    end. Raises ConfigError where they fill a sequence of `max_length`.
    """
    if not prompt:
        return 0
    encoding = tokens.backend_of(processor).encode(prompt)
    count = len(encoding.ids) - int(sum(encoding.special_tokens_mask[-1:]))
    if max_length is not None and count >= max_length:
        raise ConfigError(
            f"options.prompt: {prompt!r} alone is {count} tokens, which leaves no room for a text "
            f"in {max_length}; shorten it, or raise options.max_length"
        )
    return count


def anchors(
    texts: Sequence[str], processor: "PreTrainedTokenizerBase", max_length: int | None
) -> tuple[tuple[int, ...], ...]:
    """The token ids of each text, cut to `max_length`; raises ConfigError for one without any."""
    encoded = tokens.truncated(texts, processor, max_length)
    if len(encoded) < len(texts):
        none = next(text for row, text in enumerate(texts) if row not in encoded.rows)
        raise ConfigError(f"options.labels: the tokenizer of this model sees nothing in {none!r}")
    pieces = np.split(encoded.inputs["input_ids"], encoded.offsets[1:-1])
    return tuple(tuple(piece.tolist()) for piece in pieces)


def normalized(vectors: Vectors) -> Vectors:
    """Each row divided by its length; a row of zeros stays."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    made: Vectors = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return made


def column(vectors: Vectors, number: pa.DataType) -> pa.FixedSizeListArray:
    """[rows, dimensions] as a list of so many numbers a row."""
    flat = pa.array(vectors.astype(number.to_pandas_dtype()).reshape(-1), number)
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def agree(ours: pa.ChunkedArray, reference: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """[rows] both null, or vectors of a cosine of at least ALIKE."""
    pairs = zip(_vectors(ours), _vectors(reference), strict=True)
    return np.array([_alike(one, other) for one, other in pairs], np.bool_)


def _vectors(column: pa.ChunkedArray) -> Sequence[npt.NDArray[np.float64] | None]:
    return [None if row is None else np.array(row, np.float64) for row in column.to_pylist()]


def _alike(one: npt.NDArray[np.float64] | None, other: npt.NDArray[np.float64] | None) -> bool:
    if one is None or other is None:
        return one is other
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) >= ALIKE * lengths
