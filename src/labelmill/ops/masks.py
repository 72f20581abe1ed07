"""Masks: texts with mask tokens to model inputs, and the tokens that a model puts there to Arrow.

A text that has no mask, or loses one where it is cut, is an error of its row: labels of the masks
that are left would look as if they were all.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from labelmill.batch import Encoded, Ragged
from labelmill.errors import ConfigError, ModelError
from labelmill.ops import tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_FILL = pa.struct([("token", pa.string()), ("score", pa.float32())])
FILLS = pa.list_(pa.list_(_FILL))


def mask_of(processor: "PreTrainedTokenizerBase") -> tuple[str, int]:
    """The tokenizer's mask token and its id; raises ModelError where it has none."""
    text, number = processor.mask_token, processor.mask_token_id
    if not isinstance(text, str) or not isinstance(number, int):
        raise ModelError(
            "fill-mask needs a model that was trained with a mask token, and this model's "
            "tokenizer has none (mask_token in tokenizer_config.json); choose another model"
        )
    return text, number


def encode(
    texts: Sequence[str], processor: "PreTrainedTokenizerBase", max_length: int | None
) -> Encoded:
    """One sequence a text, cut to `max_length` tokens; errors for texts without all their masks."""
    text, number = mask_of(processor)
    encoded = tokens.truncated(texts, processor, max_length)
    kept = _counted(encoded, number, len(texts))
    written = np.array([one.count(text) for one in texts], np.int64)
    # Tokenizers may read a mask out of what looks otherwise, or none where one is written.
    doubtful = np.flatnonzero(written > kept).tolist()
    whole = tokens.truncated([texts[row] for row in doubtful], processor, None)
    masks = kept.copy()
    masks[doubtful] = _counted(whole, number, len(doubtful))
    errors = {
        int(row): _reason(text, int(kept[row]), int(masks[row]), max_length)
        for row in np.flatnonzero((masks == 0) | (kept < masks))
    }
    if not errors:
        return encoded
    good = np.flatnonzero(~np.isin(encoded.rows, list(errors)))
    return replace(encoded.take(good, encoded.rows[good]), errors=errors)


def target_ids(targets: Sequence[str], processor: "PreTrainedTokenizerBase") -> tuple[int, ...]:
    """The token of each target; raises ConfigError where it is not one token, or that of another.

    As in transformers' pipeline a target is taken as it is in the vocabulary, else as it is
    tokenized.
    """
    found: dict[int, str] = {}
    for target in targets:
        number = _token_of(target, processor)
        if number in found:
            raise ConfigError(
                f"options.targets: {target!r} and {found[number]!r} are the same token of this "
                "model; remove one"
            )
        found[number] = target
    return tuple(found)


def fills(
    ids: Ragged, scores: Ragged, rows: npt.NDArray[np.int32], count: int, processor: Any
) -> pa.ListArray:
    """[count] FILLS: for each mask of a row its tokens with their scores; null for a row without.

    `ids` and `scores` are [masks, k] of the sequences, `rows` the row of each.
    """
    masks, kept = ids.values.shape
    pairs = pa.StructArray.from_arrays(
        [_texts(ids.values.ravel(), processor), pa.array(scores.values.ravel(), pa.float32())],
        fields=list(_FILL),
    )
    inner = pa.ListArray.from_arrays(pa.array(np.arange(masks + 1) * kept, pa.int32()), pairs)
    counts = np.zeros(count, np.int64)
    counts[rows] = ids.lengths
    offsets = np.concatenate([[0], np.cumsum(counts)])
    gaps = np.append(counts == 0, False)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32(), mask=gaps), inner)


def _counted(encoded: Encoded, number: int, rows: int) -> npt.NDArray[np.int64]:
    """[rows] masks of each."""
    owners = np.repeat(encoded.rows, encoded.lengths)
    return np.bincount(owners[encoded.inputs["input_ids"] == number], minlength=rows)


def _reason(mask: str, kept: int, masks: int, max_length: int | None) -> str:
    if not masks:
        return f"the text has no mask token {mask!r}; expected at least one"
    return (
        f"{masks - kept} of the {masks} mask tokens {mask!r} are beyond the {max_length} tokens "
        "that the text is cut to (options.max_length)"
    )


def _token_of(target: str, processor: "PreTrainedTokenizerBase") -> int:
    backend = tokens.backend_of(processor)
    number = backend.token_to_id(target)
    if number is not None:
        return int(number)
    encoding = backend.encode(target, add_special_tokens=False)
    if len(encoding.ids) != 1 or encoding.ids == [processor.unk_token_id]:
        raise ConfigError(
            f"options.targets: {target!r} is {encoding.tokens!r} to this model, expected one token "
            "that it knows; choose another word, or write it with the space before it where tokens "
            "have one"
        )
    return int(encoding.ids[0])


def _texts(ids: npt.NDArray[np.generic], processor: Any) -> pa.Array:
    """What the tokenizer writes for each token by itself."""
    backend = processor.backend_tokenizer
    distinct, places = np.unique(ids, return_inverse=True)
    written = [backend.decode([int(one)], skip_special_tokens=False) for one in distinct]
    return pa.array(written, pa.string()).take(pa.array(places))
