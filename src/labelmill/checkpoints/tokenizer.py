"""FastTokenizer: a checkpoint's Rust tokenizer as plain data, for processes without transformers.

It is what transformers has made of the checkpoint's files, so it gives the same tokens; it has the
attributes of a transformers tokenizer that encoding needs, and no others.
"""

import functools
from dataclasses import dataclass
from typing import Any

import tokenizers


@dataclass(frozen=True, slots=True, kw_only=True)
class FastTokenizer:
    """Picklable; the backend is built once a process."""

    serialized: str  # as `tokenizers.Tokenizer.to_str` gives it
    truncation_side: str
    split_special_tokens: bool
    model_input_names: tuple[str, ...]
    padding_side: str = "right"
    cls_token_id: int | None = None
    mask_token: str | None = None
    mask_token_id: int | None = None
    unk_token_id: int | None = None

    is_fast = True

    @property
    def backend_tokenizer(self) -> Any:
        """The Rust tokenizer; one object a process, as encoding sets its truncation."""
        return _built(self.serialized)

    def num_special_tokens_to_add(self, *, pair: bool = False) -> int:
        """Special tokens of a single text, or of a pair."""
        return int(self.backend_tokenizer.num_special_tokens_to_add(is_pair=pair))


@functools.lru_cache(maxsize=2)
def _built(serialized: str) -> Any:
    return tokenizers.Tokenizer.from_str(serialized)
