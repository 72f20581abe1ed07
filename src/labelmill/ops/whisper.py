"""Whisper: the tokens of windows of a sound to one text, and to segments with their times.

Windows overlap. Without times, the texts of neighbours are joined where they fit best, by the rule
of transformers' speech pipeline, which gives the same text. With times, each window keeps the
segments whose middle lies in its own part, so a segment at a seam may be missing or be there in two
halves; the model's own sequential way, which goes on from the last time it named, is not done here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]

_LENGTH_BONUS = 1e-4  # of a token of overlap, so that of equal fits the longer is taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Something heard between two times."""

    ids: Ids
    start: float  # seconds
    end: float | None  # seconds; None: the model named no end


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Which ids are no text."""

    special: Ids
    first_time: int  # id of 0.00 s; the ids from here on are times
    tick: float  # seconds from one to the next


def vocabulary(tokenizer: Any, extractor: Any) -> Vocabulary:
    """What the processor says; a time token stands for two columns of the spectrogram."""
    return Vocabulary(
        special=np.array(sorted(tokenizer.all_special_ids), np.int64),
        first_time=int(tokenizer.convert_tokens_to_ids("<|notimestamps|>")) + 1,
        tick=2 * extractor.hop_length / extractor.sampling_rate,
    )


def spoken(ids: Ids, known: Vocabulary) -> Ids:
    """The ids that are text."""
    return ids[(ids < known.first_time) & ~np.isin(ids, known.special)]


def segments(ids: Ids, known: Vocabulary) -> list[Segment]:
    """What one window says, by its own clock."""
    found: list[Segment] = []
    start, text = 0.0, list[int]()
    for one in ids[~np.isin(ids, known.special)].tolist():
        if one < known.first_time:
            text.append(one)
            continue
        time = (one - known.first_time) * known.tick
        if text and time <= start:  # a slip of the model: what it says goes on
            continue
        if text:
            found.append(Segment(ids=np.array(text), start=start, end=time))
        start, text = time, []
    if text:
        found.append(Segment(ids=np.array(text), start=start, end=None))
    return found


def on_one_clock(
    windows: Sequence[Sequence[Segment]], seconds: float, stride: float
) -> list[Segment]:
    """The segments of a sound, each once, of windows of so many seconds that share two strides."""
    kept: list[Segment] = []
    for place, window in enumerate(windows):
        offset = place * (seconds - 2 * stride)
        first = stride if place else -np.inf
        last = seconds - stride if place < len(windows) - 1 else np.inf
        for one in window:
            end = one.start if one.end is None else one.end
            if first <= (one.start + end) / 2 < last:
                kept.append(_moved(one, offset))
    return kept


def joined(windows: Sequence[Ids]) -> Ids:
    """The text of a sound out of those of its windows."""
    kept: list[Ids] = []
    left = windows[0]
    for right in windows[1:]:
        leave, enter = _seam(left, right)
        kept.append(left[:leave])
        left = right[enter:]
    return np.concatenate([*kept, left])


def _seam(left: Ids, right: Ids) -> tuple[int, int]:
    """Where to leave the left text and to enter the right: in the middle of where they fit best.

    The right text is slid over the end of the left one. A fit is the share of equal tokens, of
    those slid over so far; two must be equal, else the texts are put end to end.
    """
    best, seam = 0.0, (len(left), 0)
    for slid in range(1, len(left) + len(right)):
        a, b = max(0, len(left) - slid), max(0, slid - len(left))
        width = min(len(left) - a, len(right) - b)
        equal = int(np.count_nonzero(left[a : a + width] == right[b : b + width]))
        fit = equal / slid + slid * _LENGTH_BONUS
        if equal > 1 and fit > best:
            best, seam = fit, ((2 * a + width) // 2, (2 * b + width) // 2)
    return seam


def _moved(one: Segment, offset: float) -> Segment:
    end = None if one.end is None else round(one.end + offset, 2)
    return Segment(ids=one.ids, start=round(one.start + offset, 2), end=end)
