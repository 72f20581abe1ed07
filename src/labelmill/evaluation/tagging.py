"""Tagging: entities against gold entities, by exact match of label and place.

Gold comes in one of two forms:

    list<struct<label, start, end>>   characters of the text, as the column `entities` has them;
                                      more fields do not matter; label "O" is no entity
    list<string>                      a tag for each word (BIO, IOB1, BIOES, BILOU, or plain names
                                      such as "NOUN"), for jobs that label lists of words; the words
                                      must be among the kept columns

Tags are read by seqeval's rule, as `ops.entities` reads those of the model. Then an entity of the
model is compared by the words whose first letter or digit it covers, so that punctuation which the
model leaves out of a word costs nothing, and half a word is not the word. Words that are blank, and
their tags, do not count: no model reads them. Memory: some hundred bytes for each *different*
outcome of a row, 4 for each row.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from labelmill.errors import ConfigError, InputError
from labelmill.evaluation import libraries
from labelmill.evaluation.scored import Numbers, Table, Told, Values, ratio
from labelmill.ops.entities import PREFIXES, bioes

METRICS = ("entity_f1", "entity_precision", "entity_recall", "entity_f1_macro")

Entity = tuple[str, int, int]  # label, first place, place after the last
Outcome = tuple[tuple[str, int, int, int], ...]  # of each label: right, given, gold


class TaggingScorer:
    """See the module."""

    takes_null = False
    takes_empty = True
    gaps: Sequence[str] = ("",)

    def __init__(self, words: str | None, names: Sequence[str] = ()) -> None:
        """`words`: the column of the output with each row's words, where the job labels words.

        `names`: of tags that are numbers, as the command line says.
        """
        self.columns: Sequence[str] = ("entities",)
        self.words, self._names = words, names
        self._outcomes: dict[Outcome, int] = {}
        self._chunks: list[npt.NDArray[np.int32]] = []

    def add(self, labelled: pa.Table, gold: pa.Array) -> None:
        """See Scorer; with tags as gold, `labelled` has the column "words" besides."""
        pairs = self._pairs(labelled, gold)
        found = [self._outcomes.setdefault(outcome(*pair), len(self._outcomes)) for pair in pairs]
        self._chunks.append(np.array(found, np.int32))

    def scored(self) -> "ScoredEntities":
        """See Scorer."""
        return ScoredEntities(tuple(self._outcomes), np.concatenate(self._chunks))

    def _pairs(self, labelled: pa.Table, gold: pa.Array) -> Iterable[tuple[set[Entity], ...]]:
        """Entities and gold entities of each row."""
        given = labelled["entities"].to_pylist()
        gold = _named(gold, self._names)
        form = _form(gold.type)
        if form == "spans":
            pairs = zip(given, gold.to_pylist(), strict=True)
            return [(_spans(entities), _spans(right)) for entities, right in pairs]
        if "words" not in labelled.column_names:
            raise ConfigError(
                "--gold: holds a tag for each word, which needs the words; label with them among "
                "source.columns.words and source.keep, or give gold as list<struct<label, start, "
                "end>>"
            )
        listed = [words or [] for words in labelled["words"].to_pylist()]
        rows = zip(given, listed, gold.to_pylist(), strict=True)
        return [(_covered(entities, words), _tagged(tags, words)) for entities, words, tags in rows]


class ScoredEntities:
    """Rows of outcomes, see Scored."""

    def __init__(self, outcomes: Sequence[Outcome], patterns: npt.NDArray[np.int32]) -> None:
        """`patterns` [rows] are places in `outcomes`."""
        self.patterns, self.kinds, self.sorts = patterns, len(outcomes), 0
        self._names = tuple(sorted({label for each in outcomes for label, *_ in each}))
        places = {name: place for place, name in enumerate(self._names)}
        self._sums = np.zeros((len(outcomes), 3, len(self._names)), np.int32)
        for row, each in enumerate(outcomes):
            for label, right, given, gold in each:
                self._sums[row, :, places[label]] = right, given, gold

    def counted(self, counts: Numbers) -> Values:
        """See Scored."""
        hits, given, gold = self._summed(counts)
        f1 = ratio(2 * hits, given + gold)[(given + gold) > 0]
        return {
            "entity_f1": float(ratio(2 * hits.sum(), given.sum() + gold.sum())),
            "entity_precision": float(ratio(hits.sum(), given.sum())),
            "entity_recall": float(ratio(hits.sum(), gold.sum())),
            "entity_f1_macro": float(f1.mean()) if len(f1) else float("nan"),
        }

    def ranked(self, rows: Numbers) -> Values:
        """See Scored."""
        del rows
        return {}

    def told(self) -> Told:
        """See Scored."""
        hits, given, gold = self._summed(np.bincount(self.patterns, minlength=self.kinds))
        columns = (
            ratio(hits, given), ratio(hits, gold), ratio(2 * hits, given + gold), gold, given,
        )  # fmt: skip
        rows = zip(self._names, *(column.tolist() for column in columns), strict=True)
        strange = [
            name for n, name in enumerate(self._names) if gold[n] and not given[n] and not hits[n]
        ]
        note = f"gold labels that the model never gave: {', '.join(map(repr, strange[:10]))}"
        classes = Table(
            name="classes",
            about="Entities of each label; support is the number of gold ones.",
            columns=("label", "precision", "recall", "f1", "support", "given"),
            rows=tuple(rows),
        )
        return Told(tables=(classes,), notes=(note,) if strange else ())

    def _summed(self, counts: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """[labels] right, given, gold."""
        flat = counts.astype(np.float64) @ self._sums.reshape(self.kinds, -1)
        hits, given, gold = np.rint(flat).astype(np.int64).reshape(3, -1)
        return hits, given, gold


def outcome(given: set[Entity], gold: set[Entity]) -> Outcome:
    """Of each label that occurs: how many are right, given and gold."""
    right, ours, theirs = (
        Counter(label for label, *_ in found) for found in (given & gold, given, gold)
    )
    return tuple((name, right[name], ours[name], theirs[name]) for name in sorted(ours | theirs))


def _named(gold: pa.Array, names: Sequence[str]) -> pa.Array:
    """Lists of numbers as lists of their names; other gold as it is."""
    kind = gold.type
    numbers = (pt.is_list(kind) or pt.is_large_list(kind)) and pt.is_integer(kind.value_type)
    if names and not numbers:
        raise ConfigError("--names: is for gold labels that are numbers; remove it")
    if not numbers or not names:
        return gold
    listed = gold.to_pylist()
    found = {tag for tags in listed for tag in tags if tag is not None}
    for tag in sorted(found):
        if not 0 <= tag < len(names):
            raise ConfigError(
                f"--gold: tag {tag} has no name, there are {len(names)}, counted from 0; give all "
                "names with --names"
            )
    told = [[None if tag is None else names[tag] for tag in tags] for tags in listed]
    return pa.array(told, pa.list_(pa.string()))


def _form(kind: pa.DataType) -> str:
    """Either "spans" or "tags"; raises ConfigError for another type."""
    if pt.is_list(kind) or pt.is_large_list(kind):
        inner = kind.value_type
        if pt.is_string(inner) or pt.is_large_string(inner):
            return "tags"
        if pt.is_null(inner):  # no row of these has an entity
            return "spans"
        names = {inner.field(n).name for n in range(inner.num_fields)}
        if pt.is_struct(inner) and {"label", "start", "end"} <= names:
            return "spans"
    raise ConfigError(
        f"--gold: is of type {kind}, expected list<struct<label, start, end>>, or a list with a "
        "tag for each word: a string, or a number that --names has a name for"
    )


def _spans(entities: Sequence[dict[str, Any] | None]) -> set[Entity]:
    found: set[tuple[Any, Any, Any]] = {
        (None,) * 3 if each is None else (each["label"], each["start"], each["end"])
        for each in entities
    }
    if any(None in each for each in found):
        raise InputError("--gold: an entity has no label, start or end; mend the gold column")
    return {each for each in found if each[0] != "O"}


def _tagged(tags: Sequence[str | None], words: Sequence[str]) -> set[Entity]:
    """Entities of a row's tags, by places of words."""
    if len(tags) != len(words):
        raise InputError(
            f"--gold: a row has {len(tags)} tags for {len(words)} words ({words[:5]!r}, ...); "
            "expected one for each; mend the gold column"
        )
    if not all(tags):
        raise InputError(
            f"--gold: a tag is null or empty (of {words[:5]!r}, ...); expected 'O' where there is "
            "no entity; mend the gold column"
        )
    read = libraries.load("seqeval.metrics.sequence_labeling").get_entities
    # By tags alone: which labels there are besides is not known.
    told = [
        bioes(tag, PREFIXES) for tag, word in zip(tags, words, strict=True) if tag and word.strip()
    ]
    return {(label, first, last + 1) for label, first, last in read(told)}


def _covered(entities: Sequence[dict[str, Any]], words: Sequence[str]) -> set[Entity]:
    """Entities by the places of the words that they cover; words are joined by single spaces."""
    starts = np.cumsum([0, *(len(word) + 1 for word in words)])[:-1]
    firsts = np.array(
        [start + _first(word) for start, word in zip(starts, words, strict=True) if word.strip()]
    )
    return {
        (each["label"], *np.searchsorted(firsts, (each["start"], each["end"])).tolist())
        for each in entities
    }


def _first(word: str) -> int:
    """Where its first letter or digit is; of a word that has none, what is not blank."""
    found = next((at for at, one in enumerate(word) if one.isalnum()), None)
    return len(word) - len(word.lstrip()) if found is None else found
