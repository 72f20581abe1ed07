"""CTC: the likeliest token of each frame to text, and to words or characters with their times.

Greedy decoding (Graves et al. 2006, section 3.2): runs of one token are one token, then blanks are
dropped. What the blank, the mark between words and its replacement are, the tokenizer says; the
text equals what `decode` of a Wav2Vec2CTCTokenizer makes of the same ids. A time is counted in
frames: a character lasts as long as its run, a word from its first to its last character. Blanks
belong to nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labelmill.errors import ModelError

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Something heard, with the frames where it starts and ends (exclusive)."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alphabet:
    """What the ids of one split mean."""

    tokens: Sequence[str | None]  # by id: the text of a token, None for a blank or an unseen id
    same: Ids  # by id: the least id of the same token; runs are of these
    delimiter: str  # the text that stands between words
    lower: bool = False  # the text is lowered


def alphabet(tokenizer: Any, ids: Ids) -> Alphabet:
    """The meaning of all these ids; raises ModelError for a tokenizer that is no CTC tokenizer."""
    delimiter = getattr(tokenizer, "replace_word_delimiter_char", None)
    if delimiter is None:
        raise ModelError(
            f"the model's tokenizer is {type(tokenizer).__name__!r}, which marks no words as CTC "
            "models of the wav2vec2 family do; expected a Wav2Vec2CTCTokenizer"
        )
    seen = np.unique(ids)
    spelled = tokenizer.convert_ids_to_tokens(seen.tolist())
    size = int(seen.max(initial=-1)) + 1
    tokens: list[str | None] = [None] * size
    same = np.arange(size)
    first: dict[str, int] = {}
    for one, token in zip(seen.tolist(), spelled, strict=True):
        same[one] = first.setdefault(token, one)
        if token != tokenizer.pad_token:
            tokens[one] = delimiter if token == tokenizer.word_delimiter_token else token
    return Alphabet(
        tokens=tokens, same=same, delimiter=delimiter, lower=bool(tokenizer.do_lower_case)
    )


def characters(ids: Ids, letters: Alphabet) -> list[Piece]:
    """Each token that was heard, those between words included."""
    if not len(ids):
        return []
    ids = letters.same[ids]
    starts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]]))
    ends = np.concatenate([starts[1:], [len(ids)]])
    heard = zip(ids[starts].tolist(), starts.tolist(), ends.tolist(), strict=True)
    return [
        Piece(text=_cased(token, letters), start=start, end=end)
        for one, start, end in heard
        if (token := letters.tokens[one]) is not None
    ]


def text(heard: Sequence[Piece], tokenizer: Any) -> str:
    """The characters as one text, no white space at its ends, cleaned as the tokenizer says."""
    plain = "".join(piece.text for piece in heard).strip()
    if not tokenizer.clean_up_tokenization_spaces:
        return plain
    return str(tokenizer.clean_up_tokenization(plain))


def words(heard: Sequence[Piece], letters: Alphabet) -> list[Piece]:
    """The characters between two delimiters, together."""
    found: list[Piece] = []
    between = True
    for piece in heard:
        if piece.text == letters.delimiter:
            between = True
            continue
        if between:
            found.append(piece)
        else:
            last = found[-1]
            found[-1] = Piece(text=last.text + piece.text, start=last.start, end=piece.end)
        between = False
    return found


def joined(pieces: Sequence[Ids], stride: int, totals: Sequence[int]) -> Ids:
    """One sound's frames out of its pieces, each without what its neighbours know better.

    `stride` is how many frames a piece gives up where it has a neighbour, `totals` how many it
    would have if its convolutions were padded: places are counted in those.
    """
    last = len(pieces) - 1
    kept = [
        ids[stride if place else 0 : total - stride if place < last else None]
        for place, (ids, total) in enumerate(zip(pieces, totals, strict=True))
    ]
    return np.concatenate([np.zeros(0, np.int64), *kept])


def _cased(token: str, letters: Alphabet) -> str:
    return token.lower() if letters.lower else token
