"""Overlaps: how much of the gold text a written text has: ROUGE, BLEU, chrF, exact match.

ROUGE by rouge-score (with its stemmer), BLEU and chrF by sacrebleu, whose signature says how. The
numbers that sacrebleu sums are taken row by row, so that no text is kept.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from labelmill.errors import ConfigError
from labelmill.evaluation import libraries
from labelmill.evaluation.scored import Told, Values
from labelmill.evaluation.statistics import Sums

ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
SACREBLEU = ("bleu", "chrf")
EXACT = ("exact_match",)


class Rouge:
    """Mean F1 of the rows, of several gold texts the best; its numbers and whether it saw words."""

    def __init__(self) -> None:
        scorer = libraries.load("rouge_score.rouge_scorer")
        self._scorer = scorer.RougeScorer(list(ROUGE), use_stemmer=True)

    def statistics(self, text: str, golds: Sequence[str]) -> Sequence[float]:
        """See Measure."""
        found = self._scorer.score_multi(golds, text)
        blind = any(golds) and not any(_is_seen(gold) for gold in golds)
        return *(float(found[name].fmeasure) for name in ROUGE), float(blind)

    def metrics(self, sums: Sums, rows: int) -> Values:
        """See Measure."""
        return {name: float(sums[n]) / rows for n, name in enumerate(ROUGE)}

    def told(self, statistics: Sums) -> Told:
        """See Measure."""
        blind = int(statistics[:, -1].sum())
        notes = ["rougeLsum takes the lines of a text for its sentences"]
        if blind:
            notes.append(
                f"{blind:,} gold texts have no letter from a to z and no digit, which is all that "
                "rouge-score sees: they count as 0; chrf or bleu say more of such languages"
            )
        signature = "rouge-score|F1|stemmer:yes|mean over rows"
        return Told(notes=tuple(notes), signatures=dict.fromkeys(ROUGE, signature))


class SacreBleu:
    """One metric of sacrebleu over all rows, from 0 to 100."""

    def __init__(self, name: str, tokenize: str | None = None) -> None:
        """`name`: "bleu" or "chrf"; `tokenize`: BLEU's tokenizer, None for sacrebleu's own choice.

        Raises ConfigError for a tokenizer that sacrebleu does not know or cannot load.
        """
        self._name = name
        self._metric = _sacrebleu(name, tokenize)
        self._golds: set[int] = set()  # how many a row has

    def statistics(self, text: str, golds: Sequence[str]) -> Sequence[float]:
        """See Measure."""
        self._golds.add(len(golds))
        # What sacrebleu's corpus_score does for each row; it has no public name for it.
        found = self._metric._extract_corpus_statistics([text], [[gold] for gold in golds])  # noqa: SLF001
        return list(map(float, found[0]))

    def metrics(self, sums: Sums, rows: int) -> Values:
        """See Measure."""
        del rows
        whole = np.rint(sums).astype(np.int64).tolist()
        return {self._name: float(self._metric._aggregate_and_compute([whole]).score)}  # noqa: SLF001

    def told(self, statistics: Sums) -> Told:
        """See Measure."""
        del statistics
        # -1 is sacrebleu's for a number that varies.
        self._metric.num_refs = self._golds.pop() if len(self._golds) == 1 else -1
        return Told(signatures={self._name: str(self._metric.get_signature())})


class ExactMatch:
    """Share of rows that are a gold text, white space at the ends aside."""

    def statistics(self, text: str, golds: Sequence[str]) -> Sequence[float]:
        """See Measure."""
        return (float(text.strip() in {gold.strip() for gold in golds}),)

    def metrics(self, sums: Sums, rows: int) -> Values:
        """See Measure."""
        return {"exact_match": float(sums[0]) / rows}

    def told(self, statistics: Sums) -> Told:
        """See Measure."""
        del statistics
        return Told()


def _sacrebleu(name: str, tokenize: str | None) -> Any:
    metrics = libraries.load("sacrebleu.metrics")
    if name == "chrf":
        return metrics.CHRF()
    known = sorted(metrics.bleu.BLEU.TOKENIZERS)
    if tokenize is not None and tokenize not in known:
        raise ConfigError(f"--tokenize: sacrebleu has no {tokenize!r}; it has {', '.join(known)}")
    try:
        return metrics.BLEU(tokenize=tokenize) if tokenize else metrics.BLEU()
    except (ImportError, RuntimeError, OSError) as error:  # some fetch a model from the network
        raise ConfigError(f"--tokenize {tokenize}: {error}") from error


def _is_seen(text: str) -> bool:
    return any(letter.isascii() and letter.isalnum() for letter in text)
