"""Tag targets: what a tagger learns of each token, from tags of words or from entities of a text.

Every piece of a word is learned: the first has the word's tag, the others the tag that goes on with
it (B-PER, then I-PER). So a model gives whole words one entity however its tokens are aggregated.
Entities are learned as BIO tags.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from labelmill.batch import Encoded, ModelFacts, Ragged
from labelmill.errors import InputError
from labelmill.learning import IGNORED, Head
from labelmill.ops.plugins import suggestion
from labelmill.ops.token_spans import NO_WORD

_OUTSIDE = "O"
_Entity = tuple[int, int, str]  # start, end (characters), type
Errors = dict[int, str]


def head(facts: ModelFacts, *, tags: pa.ChunkedArray | None, lists: pa.ChunkedArray | None) -> Head:
    """The tags of the column of tags, or of the column of lists of entities.

    A model that has them all keeps its own. Tags are counted one by one; of entities, each under
    its B tag, as the texts' tokens are not known yet. Raises InputError for fewer than two tags.
    """
    if tags is not None:
        counted = Counter(chain.from_iterable(_listed(tags, _tags)))
        names = _ordered(set(counted), facts, lambda: _reason(tags, _tags))
        return Head(labels=names, counts={name: counted[name] for name in names})
    cells = lists or pa.chunked_array([[]])
    kinds = Counter(kind for _, _, kind in chain.from_iterable(_listed(cells, _entities)))
    found = {_OUTSIDE} | {f"{prefix}-{kind}" for kind in kinds for prefix in "BI"}
    names = _ordered(found, facts, lambda: _reason(cells, _entities))
    return Head(labels=names, counts={f"B-{kind}": kinds[kind] for kind in sorted(kinds)})


def _ordered(tags: set[str], facts: ModelFacts, reason: Callable[[], str]) -> tuple[str, ...]:
    """`reason` says why a row has none, '' where all have."""
    if len(tags) < 2:
        why = reason()
        raise InputError(
            f"the tags to learn are {sorted(tags)!r}, expected at least two different ones"
            f"{f' (of a row that has none: {why})' if why else ''}; see that data.columns names "
            "the right column"
        )
    if tags <= set(facts.labels):
        return facts.labels
    return tuple(sorted(tags, key=lambda tag: (tag != _OUTSIDE, tag)))


def of_words(
    column: pa.ChunkedArray, words: Sequence[Sequence[str] | None], encoded: Encoded,
    facts: ModelFacts,
) -> tuple[Ragged, Errors]:  # fmt: skip
    """[tokens] int64 of rows with one tag for each word; IGNORED where no word is read."""
    ids = {name: number for number, name in enumerate(facts.labels)}
    errors: Errors = {}
    given: list[npt.NDArray[np.int64]] = []
    for row, (cell, mine) in enumerate(zip(column.to_pylist(), words, strict=True)):
        found = _word_ids(cell, mine or (), ids)
        if isinstance(found, str):
            if mine is not None:  # a list of words that is none has its own reason
                errors[row] = found
            found = np.full(len(mine or ()), IGNORED, np.int64)
        given.append(found)
    starts = np.cumsum([0, *(len(one) for one in given)])
    flat = np.concatenate([*given, np.array([IGNORED])])  # the last is for tokens without a word
    rows, word = np.repeat(encoded.rows, encoded.lengths), encoded.marks["word"]
    places = np.where(word == NO_WORD, len(flat) - 1, starts[rows] + word)
    labels = flat[places]
    goes_on = _goes_on(facts.labels)
    inside = _inside(encoded) & (labels != IGNORED)
    labels[inside] = goes_on[labels[inside]]
    return Ragged(values=labels, lengths=encoded.lengths.astype(np.int64)), errors


def of_entities(
    column: pa.ChunkedArray, texts: Sequence[str | None], encoded: Encoded, facts: ModelFacts
) -> tuple[Ragged, Errors]:
    """The same of rows with a list of entities {"start", "end", "label"} in characters.

    Characters are those of the texts, Unicode code points; a row whose text is None has no tokens.
    """
    ids = {name: number for number, name in enumerate(facts.labels)}
    rows, word = np.repeat(encoded.rows, encoded.lengths), encoded.marks["word"]
    labels = np.where(word == NO_WORD, IGNORED, ids.get(_OUTSIDE, 0)).astype(np.int64)
    errors: Errors = {}
    bounds = np.searchsorted(rows, np.arange(len(column) + 1))
    for row, (cell, text) in enumerate(zip(column.to_pylist(), texts, strict=True)):
        if text is None:
            continue
        mine = slice(int(bounds[row]), int(bounds[row + 1]))
        try:
            for entity in _apart(_entities(cell), len(text)):
                _mark(labels[mine], encoded, mine, entity, ids)
        except (TypeError, ValueError) as error:
            errors[row] = str(error)
    return Ragged(values=labels, lengths=encoded.lengths.astype(np.int64)), errors


def _mark(
    labels: npt.NDArray[np.int64], encoded: Encoded, mine: slice, entity: _Entity,
    ids: dict[str, int],
) -> None:  # fmt: skip
    start, end, kind = entity
    first, later = ids.get(f"B-{kind}"), ids.get(f"I-{kind}")
    if first is None and later is None:
        raise ValueError(
            f"entities: no such label is learned: {kind!r:.60}{suggestion(kind, _types(ids))}"
        )
    if first is None or later is None:
        tag = f"{'B' if first is None else 'I'}-{kind}"
        raise ValueError(f"entities: no such tag is learned: {tag!r:.60}")
    covered = (encoded.marks["end"][mine] > start) & (encoded.marks["start"][mine] < end)
    places = np.flatnonzero(covered & (labels != IGNORED))
    labels[places] = later
    labels[places[:1]] = first


def _apart(entities: Sequence[_Entity], characters: int) -> list[_Entity]:
    """In order, each once; raises ValueError for those that no tags can say of the text."""
    found = sorted(set(entities))
    for start, end, kind in found:
        if end > characters:
            raise ValueError(
                f"entities: {kind!r:.60} from {start} to {end}, but the text has {characters:,} "
                "characters"
            )
    for (start, end, kind), (other_start, other_end, other) in pairwise(found):
        if other_start < end:
            raise ValueError(
                f"entities: {kind!r:.60} from {start} to {end} and {other!r:.60} from "
                f"{other_start} to {other_end} overlap, expected them apart"
            )
    return found


def _word_ids(cell: str, words: Sequence[str], ids: dict[str, int]) -> npt.NDArray[np.int64] | str:
    try:
        tags = _tags(cell)
    except (TypeError, ValueError) as error:
        return str(error)
    if len(tags) != len(words):
        return f"tags: {len(tags)} of them for {len(words)} words"
    for tag in tags:
        if tag not in ids:
            return f"tags: no such tag is learned: {tag!r:.60}{suggestion(tag, ids)}"
    return np.array([ids[tag] for tag in tags], np.int64)


def _goes_on(names: Sequence[str]) -> npt.NDArray[np.int64]:
    """[labels] the label of a piece that goes on with a word of each."""
    ids = {name: number for number, name in enumerate(names)}
    found = []
    for number, name in enumerate(names):
        prefix, dash, kind = name.partition("-")
        later = {"B": "I", "S": "E", "U": "L"}.get(prefix) if dash else None
        found.append(ids.get(f"{later}-{kind}", number))
    return np.array(found, np.int64)


def _inside(encoded: Encoded) -> npt.NDArray[np.bool_]:
    """[tokens] whether a token goes on with the word of the one before it."""
    rows, word = np.repeat(encoded.rows, encoded.lengths), encoded.marks["word"]
    found = np.zeros(len(word), np.bool_)
    found[1:] = (word[1:] == word[:-1]) & (rows[1:] == rows[:-1]) & (word[1:] != NO_WORD)
    return found


def _tags(cell: str) -> list[str]:
    """Raises TypeError or ValueError with the reason."""
    found = _parsed(cell, "tags")
    for place, tag in enumerate(found):
        if tag is None or tag == "":
            raise ValueError(f"tags[{place}]: found {tag!r}, expected a tag")
    return [tag if isinstance(tag, str) else json.dumps(tag) for tag in found]


def _entities(cell: str) -> list[_Entity]:
    """Raises TypeError or ValueError with the reason."""
    found = []
    for place, one in enumerate(_parsed(cell, "entities")):
        if not isinstance(one, dict) or not {"start", "end", "label"} <= one.keys():
            raise TypeError(f"entities[{place}]: expected an object with start, end and label")
        start, end, label = one["start"], one["end"], one["label"]
        if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end):
            raise ValueError(f"entities[{place}]: from {start!r} to {end!r} is no span")
        if label is None or label == "":
            raise ValueError(f"entities[{place}]: label {label!r} found, expected a type of entity")
        if label != _OUTSIDE:  # which is no entity, to `evaluate` neither
            found.append((start, end, str(label)))
    return found


def _parsed(cell: str, what: str) -> list[Any]:
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{what}: not JSON ({error}), expected a list") from None
    if not isinstance(found, list):
        raise TypeError(f"{what}: found {cell!r:.60}, expected a list")
    return found


def _listed(column: pa.ChunkedArray, read: Any) -> Any:
    """What can be read; a cell that cannot is for `learn` to refuse."""
    for cell in column.to_pylist():
        try:
            yield read(cell)
        except (TypeError, ValueError):
            continue


def _reason(column: pa.ChunkedArray, read: Any) -> str:
    """Why the first cell cannot be read that cannot; '' where all can."""
    for cell in column.to_pylist():
        try:
            read(cell)
        except (TypeError, ValueError) as error:
            return str(error)
    return ""


def _types(ids: dict[str, int]) -> set[str]:
    return {name.partition("-")[2] for name in ids}
