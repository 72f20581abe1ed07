"""Next tokens: sequences of which a decoder learns to write each token after those before it.

A label stands at the place of its own token, so that the first one is never learned. A long text is
learned in pieces; neighbours share one token, so that every other token is learned once. A long
chat loses its beginning, as a prompt does when labelling.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from labelmill.batch import Encoded, Ragged
from labelmill.learning import IGNORED, Examples
from labelmill.ops import prompts

Ids = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]
Learned = tuple[int, Ids, Bools]  # the row, tokens of a sequence, and which of them are learned


class TooLong(Exception):  # noqa: N818 - it is told of a row, and never leaves `ops`
    """A sequence is longer than the job allows; its text is the reason."""


def of_texts(
    encoded: Encoded, texts: Sequence[str], eos: int | None, limit: int | None, *, refuse: bool
) -> Examples:
    """What is learned of whole texts, which `encoded` has one sequence of each: all of them.

    `eos` is put behind each text. One of more than `limit` tokens is learned in pieces, or `refuse`
    makes it an error of its row, as a blank one is.
    """
    errors = {row: "the text is blank" for row, text in enumerate(texts) if not text.strip()}
    sequences: list[Learned] = []
    ids = np.split(encoded.inputs["input_ids"], encoded.offsets[1:-1]) if len(encoded) else []
    for row, one in zip(encoded.rows.tolist(), ids, strict=True):
        if row in errors:
            continue
        whole = ended(one.astype(np.int32), eos)
        try:
            if refuse:
                refuse_long([whole], limit)
        except TooLong as error:
            errors[row] = str(error)
            continue
        sequences += [(row, piece, np.ones(len(piece), np.bool_)) for piece in pieces(whole, limit)]
    return examples(sequences, len(texts), errors)


def refuse_long(ids: Sequence[Ids], limit: int | None) -> None:
    """Raise TooLong for a sequence of more than `limit` tokens."""
    longest = max((len(one) for one in ids), default=0)
    if limit is not None and longest > limit:
        raise TooLong(f"the row has {longest} tokens, more than {limit}")


def ended(ids: Ids, eos: int | None) -> Ids:
    """The tokens of a text with that of the end behind them, if there is one."""
    if eos is None or (len(ids) and ids[-1] == eos):
        return ids
    return np.append(ids, np.int32(eos))


def pieces(ids: Ids, length: int | None) -> list[Ids]:
    """Runs of at most `length` tokens, each beginning with the last token of the one before it."""
    if length is None or len(ids) <= length:
        return [ids]
    step = max(1, length - 1)
    return [ids[start : start + length] for start in range(0, len(ids) - 1, step)]


def cut(ids: Ids, ours: Bools, length: int | None, bos: int | None) -> tuple[Ids, Bools]:
    """The end of a sequence, as `prompts.cut` has it."""
    if length is None or len(ids) <= length:
        return ids, ours
    kept = prompts.cut(ids, length, bos)
    tail = ours[len(ours) - len(kept) :].copy()
    if bos is not None and kept[0] == bos:
        tail[0] = False
    return kept, tail


def examples(sequences: Sequence[Learned], rows: int, errors: Mapping[int, str]) -> Examples:
    """The sequences of rows, rows ascending; a row of which nothing is learned is an error."""
    good = [one for one in sequences if one[2][1:].any()]
    learned = {row for row, _, _ in good}
    idle = {
        row: "there is nothing to be learned: no token follows another"
        for row in range(rows)
        if row not in learned and row not in errors
    }
    lengths = np.array([len(ids) for _, ids, _ in good], np.int32)
    ids = np.concatenate([np.zeros(0, np.int32), *(ids for _, ids, _ in good)])
    ours = np.concatenate([np.zeros(0, np.bool_), *(ours for _, _, ours in good)])
    labels = np.where(ours, ids, IGNORED).astype(np.int64)
    encoded = Encoded(
        rows=np.array([row for row, _, _ in good], np.int32),
        lengths=lengths,
        inputs={"input_ids": ids},
        errors={**idle, **errors},
    )
    return Examples(
        encoded=encoded,
        targets={"labels": Ragged(values=labels, lengths=lengths.astype(np.int64))},
    )
