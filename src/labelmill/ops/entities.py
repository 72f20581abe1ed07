"""Entities: the scores of tokens to named pieces of text, by the tags that a model knows.

A tag is a prefix and a type ("B-PER"), or a plain name ("NOUN", "O"). B begins an entity and S (or
U) is one by itself; I goes on with one and E (or L) ends it, or they begin one where none of their
type is open. So one rule reads BIO, IOB1 (an entity begins with I, and with B only beside another),
BIOES and BILOU, whatever order of tags a model gives, and loses no token. Neighbours of one plain
name are one entity, and so is what lies outside all entities ("O"), until it is left out.

With BIO and plain tags this is what transformers' pipeline does, scores included. Two faults of its
are not repeated: it takes E, S, L and U for parts of a type, so that it cuts the end off an entity
and glues neighbours of one token; and it gives a plain "WP-POSS" as "POSS".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from labelmill.batch import Array, Encoded, Ragged
from labelmill.errors import ConfigError, ModelError
from labelmill.ops.plugins import suggestion
from labelmill.ops.scores import Scores, softmax
from labelmill.ops.token_spans import NO_WORD

Aggregation = Literal["none", "simple", "first", "average", "max"]
Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

OUTSIDE = "O"

PREFIXES = "BIESLU"
_BEGINS, _ENDS = frozenset("BSU"), frozenset("ESLU")
# By whether an entity begins and whether one ends here in any case.
_BIOES = {(True, False): "B", (False, False): "I", (False, True): "E", (True, True): "S"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """What the labels of a model mean as tags."""

    names: tuple[str, ...]  # of types, without prefixes
    types: Numbers  # [labels] the type of each, a place in `names`
    begins: Flags  # [labels] an entity begins here in any case
    ends: Flags  # [labels] an entity ends here in any case


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Tokens of several rows, in order; of each row all its tokens lie together."""

    rows: Numbers  # [tokens]
    words: Numbers  # [tokens] the word of each, unlike that of the word before and after
    starts: Numbers  # [tokens] its first character
    ends: Numbers  # [tokens] the character after it
    scores: Scores  # [tokens, labels]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entities:
    """Entities of several rows, in order."""

    rows: Numbers  # [entities]
    names: Numbers  # [entities] label or type, see `named`
    scores: npt.NDArray[np.float32]  # [entities]
    starts: Numbers  # [entities]
    ends: Numbers  # [entities]

    def where(self, kept: Flags) -> "Entities":
        """Some of them."""
        return Entities(
            rows=self.rows[kept],
            names=self.names[kept],
            scores=self.scores[kept],
            starts=self.starts[kept],
            ends=self.ends[kept],
        )


def tags_of(labels: Sequence[str]) -> Tags:
    """The tags of a model; see `prefixes_of`."""
    prefixes = prefixes_of(labels)
    split = [_split(label, prefixes) for label in labels]
    names = tuple(dict.fromkeys(name for _, name in split))
    return Tags(
        names=names,
        types=np.array([names.index(name) for _, name in split], np.int64),
        begins=np.array([prefix in _BEGINS for prefix, _ in split], np.bool_),
        ends=np.array([prefix in _ENDS for prefix, _ in split], np.bool_),
    )


def prefixes_of(labels: Sequence[str]) -> str:
    """Of all labels of a model; E, S, L and U are prefixes only where some label has B or I."""
    has_any = any(label.startswith(("B-", "I-")) for label in labels)
    return PREFIXES if has_any else "BI"


def bioes(label: str, prefixes: str) -> str:
    """The label as a tag of BIOES, as seqeval reads it.

    It takes the first letter of any tag for its prefix. Of plain names, a run of one name is one
    entity, and "O" is outside of all; where no label is "O", as with "0", "1" and "2", nothing is.
    """
    if label == OUTSIDE:
        return OUTSIDE
    prefix, name = _split(label, prefixes)
    return f"{_BIOES[prefix in _BEGINS, prefix in _ENDS]}-{name}"


def read(logits: Array | Ragged, encoded: Encoded, labels: Sequence[str]) -> Tokens:
    """Every token of every text, once and in order, of sequences that `ops.token_spans` made.

    Raises ModelError where the logits are not one vector a token, a number for each label.
    """
    expected = (int(encoded.lengths.sum()), len(labels))
    values = logits.values if isinstance(logits, Ragged) else logits
    if not isinstance(logits, Ragged) or values.shape != expected:
        raise ModelError(
            f"the model gave logits of shape {values.shape!r}, expected {expected!r}: one vector a "
            "token with one number for each label of its config.json; the checkpoint does not fit "
            "the task"
        )
    kept = encoded.marks["word"] != NO_WORD
    marks = {name: mark[kept].astype(np.int64) for name, mark in encoded.marks.items()}
    return Tokens(
        rows=np.repeat(encoded.rows, encoded.lengths)[kept].astype(np.int64),
        words=marks["word"],
        starts=marks["start"],
        ends=marks["end"],
        scores=softmax(values[kept]),
    )


def refuse_unknown(ignored: Sequence[str], labels: Sequence[str], aggregation: Aggregation) -> None:
    """Raise ConfigError for a label to leave out that would never be found."""
    names = named(labels, aggregation)
    for label in ignored:
        if label not in {*names, OUTSIDE}:
            known = ", ".join(map(repr, names[:20]))
            raise ConfigError(
                f"options.ignore_labels: {label!r} is not among what this model gives with "
                f"aggregation {aggregation!r}{suggestion(label, names)}; known are {known}"
            )


def named(labels: Sequence[str], aggregation: Aggregation) -> tuple[str, ...]:
    """What `Entities.names` are places in: whole labels of single tokens, else types."""
    return tuple(labels) if aggregation == "none" else tags_of(labels).names


def find(tokens: Tokens, labels: Sequence[str], aggregation: Aggregation) -> Entities:
    """Everything that the tokens say, what is outside of all entities included.

    "none" gives each token by itself. "simple" puts tokens together by their best labels. The
    others first give each word one label: that of its "first" token, the best of its tokens' mean
    scores ("average"), or that of its token with the highest score ("max"). The score of an entity
    is the mean of the scores of its tokens, or words.
    """
    units = _tokens(tokens) if aggregation in {"none", "simple"} else _words(tokens, aggregation)
    return units if aggregation == "none" else grouped(units, tags_of(labels))


def grouped(units: Entities, tags: Tags) -> Entities:
    """Tokens or words, named by label, to entities that are named by type."""
    if not len(units.rows):
        return units
    types = tags.types[units.names]
    before = tags.ends[units.names][:-1]
    apart = (units.rows[1:] != units.rows[:-1]) | (types[1:] != types[:-1])
    apart |= before | tags.begins[units.names][1:]
    first = _firsts(apart)
    last = _lasts(first, len(types))
    sums = np.add.reduceat(units.scores.astype(np.float64), first)
    return Entities(
        rows=units.rows[first],
        names=types[first],
        scores=(sums / (last - first + 1)).astype(np.float32),
        starts=units.starts[first],
        ends=units.ends[last],
    )


def _split(label: str, prefixes: str) -> tuple[str, str]:
    """Prefix, or "", and type."""
    if len(label) > 2 and label[1] == "-" and label[0] in prefixes:
        return label[0], label[2:]
    return "", label


def _tokens(tokens: Tokens) -> Entities:
    best = tokens.scores.argmax(axis=1)
    return Entities(
        rows=tokens.rows,
        names=best,
        scores=tokens.scores[np.arange(len(best)), best],
        starts=tokens.starts,
        ends=tokens.ends,
    )


def _words(tokens: Tokens, aggregation: Aggregation) -> Entities:
    """Each word with its label."""
    if not len(tokens.rows):
        return _tokens(tokens)
    apart = (tokens.rows[1:] != tokens.rows[:-1]) | (tokens.words[1:] != tokens.words[:-1])
    first = _firsts(apart)
    last = _lasts(first, len(tokens.rows))
    word = Tokens(
        rows=tokens.rows[first],
        words=tokens.words[first],
        starts=tokens.starts[first],
        ends=tokens.ends[last],
        scores=_word_scores(tokens.scores, first, last - first + 1, aggregation),
    )
    return _tokens(word)


def _word_scores(
    scores: Scores, first: Numbers, counts: Numbers, aggregation: Aggregation
) -> Scores:
    """[words, labels] by which a word is judged."""
    if aggregation == "first":
        return scores[first]
    if aggregation == "average":
        sums = np.add.reduceat(scores.astype(np.float64), first, axis=0)
        return (sums / counts[:, np.newaxis]).astype(np.float32)
    words = np.repeat(np.arange(len(first)), counts)
    # The first of equals wins, as the sort is stable.
    order = np.lexsort((-scores.max(axis=1), words))
    return scores[order[first]]


def _firsts(apart: Flags) -> Numbers:
    """Where groups begin, for [things - 1] flags of a thing that does not go on with the last."""
    return np.concatenate([[0], np.flatnonzero(apart) + 1])


def _lasts(first: Numbers, count: int) -> Numbers:
    return np.concatenate([first[1:], [count]]) - 1
