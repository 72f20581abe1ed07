"""Answering: exact match and F1 by the rules of SQuAD 1.1 and 2.0.

Both texts are put in lower case, without punctuation, without the English articles and with single
spaces; F1 is that of the words in common. Of several gold answers the best counts. No answer is the
empty text: it is right where there is no gold answer, and wrong, as a whole, where there is one.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

from labelmill.evaluation.scored import Told, Values
from labelmill.evaluation.statistics import Sums

METRICS = (
    "exact_match", "f1", "exact_match_answerable", "f1_answerable", "accuracy_unanswerable",
)  # fmt: skip
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


class Squad:
    """Numbers of a row: exact match, F1, whether it has a gold answer, both where it has."""

    def statistics(self, text: str, golds: Sequence[str]) -> Sequence[float]:
        """See Measure."""
        # As SQuAD's own script does: gold answers of which nothing is left do not count.
        usable = [gold for gold in golds if normalized(gold)]
        exact = max(float(normalized(text) == normalized(gold)) for gold in usable or [""])
        f1 = max(overlap(text, gold) for gold in usable or [""])
        there = float(bool(usable))
        return exact, f1, there, exact * there, f1 * there

    def metrics(self, sums: Sums, rows: int) -> Values:
        """See Measure; the metrics of rows with and without answer only where there are both."""
        exact, f1, there, exact_there, f1_there = sums.tolist()
        values = {"exact_match": exact / rows, "f1": f1 / rows}
        if 0 < there < rows:
            values |= {
                "exact_match_answerable": exact_there / there,
                "f1_answerable": f1_there / there,
                "accuracy_unanswerable": (exact - exact_there) / (rows - there),
            }
        return values

    def told(self, statistics: Sums) -> Told:
        """See Measure."""
        without = int((statistics[:, 2] == 0).sum())
        return Told(notes=(f"{without:,} rows have no gold answer",) if without else ())


def normalized(text: str) -> str:
    """As SQuAD's script compares answers."""
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def overlap(text: str, gold: str) -> float:
    """F1 of the words in common; where one side has no words, 1 if neither has any, else 0."""
    one, other = normalized(text).split(), normalized(gold).split()
    if not one or not other:
        return float(one == other)
    same = sum((Counter(one) & Counter(other)).values())
    return float(np.float64(2 * same) / (len(one) + len(other)))
