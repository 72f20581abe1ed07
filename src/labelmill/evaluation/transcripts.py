"""Transcripts: word and character error rates, by jiwer.

As the texts stand, and normalized: in lower case, without punctuation, with single spaces, since
models differ in whether they write case and punctuation at all. Errors of all rows are divided by
the words, or characters, of all gold texts; a rate may be above 1.
"""

import unicodedata
from collections.abc import Sequence

from labelmill.evaluation import libraries
from labelmill.evaluation.scored import Told, Values
from labelmill.evaluation.statistics import Sums

METRICS = ("wer", "cer", "wer_normalized", "cer_normalized")


class ErrorRates:
    """Numbers of a row: errors and units, for words and characters, as it stands and normalized."""

    def __init__(self) -> None:
        self._jiwer = libraries.load("jiwer")

    def statistics(self, text: str, golds: Sequence[str]) -> Sequence[float]:
        """See Measure; of several gold texts the one with the lowest word error rate, each way."""
        plain = [normalized(gold) for gold in golds]
        return [*self._best(text, golds), *self._best(normalized(text), plain)]

    def metrics(self, sums: Sums, rows: int) -> Values:
        """See Measure; NaN where no gold text has a word."""
        del rows
        pairs = zip(METRICS, sums[0::2].tolist(), sums[1::2].tolist(), strict=True)
        return {name: errors / units if units else float("nan") for name, errors, units in pairs}

    def told(self, statistics: Sums) -> Told:
        """See Measure."""
        empty = int((statistics[:, 1] == 0).sum())
        note = f"{empty:,} gold texts are empty; every word written there is an error"
        version = libraries.load("importlib.metadata").version("jiwer")
        return Told(
            notes=(note,) if empty else (),
            signatures=dict.fromkeys(METRICS, f"jiwer|version:{version}"),
        )

    def _best(self, text: str, golds: Sequence[str]) -> list[float]:
        found = [self._row(text, gold) for gold in golds]
        return min(found, key=lambda row: (row[0] / max(row[1], 1), row[2] / max(row[3], 1)))

    def _row(self, text: str, gold: str) -> list[float]:
        row: list[float] = []
        for process in (self._jiwer.process_words, self._jiwer.process_characters):
            done = process(gold, text)
            errors = done.substitutions + done.deletions + done.insertions
            row += [errors, done.hits + done.substitutions + done.deletions]
        return row


def normalized(text: str) -> str:
    """Lower case, no punctuation or symbols, single spaces; an apostrophe inside a word stays."""
    kept = [
        letter if _is_word(letter) or _inside(text, place) else " "
        for place, letter in enumerate(text)
    ]
    return " ".join("".join(kept).lower().split())


def _is_word(letter: str) -> bool:
    return unicodedata.category(letter)[0] not in "PS"


def _inside(text: str, place: int) -> bool:
    around = text[max(place - 1, 0) : place] + text[place + 1 : place + 2]
    return text[place] in "'\u2019" and len(around) == 2 and around.isalpha()
