"""Prompts: texts to the tokens that a decoder goes on from, and the seed of each.

A prompt that is too long loses its beginning, never its end, which is what the model goes on from;
a token of the beginning stays in front. An empty prompt is that token alone; of a model without
one it has no tokens, and there is nothing to go on from.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from labelmill.batch import Encoded
from labelmill.ops.text_batches import batches

Prompts = list[npt.NDArray[np.int32]]


def tokenized(texts: Sequence[str], processor: Any, *, special: bool) -> Prompts:
    """[texts] the tokens of each; `special` adds what the tokenizer puts around a text.

    A chat template has written its special tokens itself.
    """
    bos = processor.bos_token_id
    start = [] if bos is None else [bos]
    return [np.array(ids or start, np.int32) for ids in _ids(texts, processor, special=special)]


def _ids(texts: Sequence[str], processor: Any, *, special: bool) -> Iterator[list[int]]:
    for batch in batches(texts):
        yield from processor(batch, add_special_tokens=special, return_attention_mask=False)[
            "input_ids"
        ]


def cut(ids: npt.NDArray[np.int32], length: int, bos: int | None) -> npt.NDArray[np.int32]:
    """The last `length` tokens, a beginning token of the text still in front."""
    if len(ids) <= length:
        return ids
    head = ids[:1] if len(ids) and ids[0] == bos else ids[:0]
    return np.concatenate([head, ids[len(ids) - (length - len(head)) :]])


def encoded(prompts: Prompts, seeds: Sequence[int] | None, new_tokens: int) -> Encoded:
    """One sequence a row; none for a row without tokens. `seeds` become the fixed input "seed"."""
    rows = np.array([row for row, ids in enumerate(prompts) if len(ids)], np.int32)
    fixed = {} if seeds is None else {"seed": np.array(seeds, np.int64)[rows]}
    return Encoded(
        rows=rows,
        lengths=np.array([len(prompts[row]) for row in rows], np.int32),
        inputs={"input_ids": np.concatenate([np.zeros(0, np.int32), *prompts])},
        fixed=fixed,
        written=new_tokens,
    )


def seed_of(seed: int, text: str) -> int:
    """A seed of the row, at least 0 and below 2**63, that depends on nothing but its text.

    So a row gets the same text in any batch, order, shard or retry, and equal rows get equal texts.
    """
    digest = hashlib.blake2b(f"{seed} {text}".encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest()) >> 1
