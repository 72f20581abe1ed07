"""Framing: the special tokens that a tokenizer puts before and after a single text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
_ITEM = np.dtype(np.int32).itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Ids and token types before and after a text, and the type of the text's own tokens."""

    before: Ids
    after: Ids
    before_types: Ids
    after_types: Ids
    own_type: int

    @classmethod
    def of(cls, backend: Any) -> Self | None:
        """What the backend does to a short text; None where that is not putting it between."""
        bare = backend.encode("a", add_special_tokens=False)
        count = len(bare.ids)
        whole = backend.post_process(bare)
        own = [place for place, special in enumerate(whole.special_tokens_mask) if not special]
        if not count or own != list(range(own[0] if own else 0, (own[0] if own else 0) + count)):
            return None
        start, stop = own[0], own[0] + count
        types = set(whole.type_ids[start:stop])
        if len(types) > 1:
            return None
        return cls(
            before=np.array(whole.ids[:start], np.int32),
            after=np.array(whole.ids[stop:], np.int32),
            before_types=np.array(whole.type_ids[:start], np.int32),
            after_types=np.array(whole.type_ids[stop:], np.int32),
            own_type=types.pop(),
        )

    def around(self, texts: Sequence[bytes], max_length: int | None) -> tuple[Ids, Ids]:
        """The ids of framed texts end to end, cut on the right, and the length of each.

        `texts` are int32 bytes; `max_length` counts the frame in.
        """
        before, after = self.before.tobytes(), self.after.tobytes()
        if max_length is not None:
            room = max_length * _ITEM - len(before) - len(after)
            texts = [text[:room] for text in texts]
        framed = [before + text + after for text in texts]
        lengths = np.array([len(row) // _ITEM for row in framed], np.int32)
        return np.frombuffer(b"".join(framed), np.int32), lengths

    def types(self, lengths: Ids) -> Ids:
        """[sum(lengths)] the token types of framed texts of these lengths."""
        found = np.full(int(lengths.sum()), self.own_type, np.int32)
        stops = np.cumsum(lengths, dtype=np.int64)
        for place, kind in enumerate(self.before_types):
            found[stops - lengths + place] = kind
        for place, kind in enumerate(self.after_types[::-1]):
            found[stops - 1 - place] = kind
        return found
