"""Writing: what the tasks share whose models write text: settings, limits, pieces, decoding.

It takes a tokenizer of transformers as it is and never a `FastTokenizer`, because chat templates,
languages and decoding are in Python there.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from labelmill.batch import Encoded, ModelFacts, Outputs, Ragged, WritingFacts, ragged
from labelmill.errors import ConfigError
from labelmill.ops import tokens
from labelmill.ops.passages import passages
from labelmill.readouts import FINISH

NEW_TOKENS = 128  # where neither the job nor the checkpoint says how many
# Of a checkpoint's settings for a task; its others are about training or evaluation.
_OWN = frozenset(
    {
        "early_stopping",
        "length_penalty",
        "max_length",
        "min_length",
        "no_repeat_ngram_size",
        "num_beams",
        "repetition_penalty",
    }
)

_CHOSEN = (
    "length_penalty",
    "min_new_tokens",
    "no_repeat_ngram_size",
    "num_beams",
    "repetition_penalty",
)


def settings(facts: ModelFacts, task: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of GenerationConfig: the checkpoint's for the task, then those chosen and not None.

    The most tokens are left to `new_tokens`.
    """
    own = {name: value for name, value in of_task(facts, task).items() if name in _OWN}
    own.pop("max_length", None)
    wanted = {name: value for name, value in chosen.items() if value is not None}
    if "min_new_tokens" in wanted:
        own["min_length"] = 0  # it would be told of as a conflict
    return {**own, **wanted}


def chosen(options: Any) -> dict[str, Any]:
    """What a `config.writing.WritingSection` sets of GenerationConfig's fields."""
    return {name: getattr(options, name) for name in _CHOSEN}


def by_task(facts: ModelFacts) -> Mapping[str, Mapping[str, Any]]:
    """What the checkpoint's config says of each task."""
    return _writing(facts).by_task


def of_task(facts: ModelFacts, task: str) -> Mapping[str, Any]:
    """What the checkpoint's config says of the task; {} where it says nothing."""
    return _writing(facts).by_task.get(task, {})


def new_tokens(facts: ModelFacts, task: str, wanted: int | None, name: str) -> int:
    """The most tokens to write: `wanted`, else the checkpoint's number, else NEW_TOKENS.

    A checkpoint's `max_length` counts the decoder's start. Raises ConfigError, calling the option
    `name`, where the decoder has too few positions.
    """
    found = _own_number(_writing(facts), task) if wanted is None else wanted
    most = None if facts.positions is None else facts.positions - 1
    if most is None or found <= most:
        return found
    if wanted is None:
        return most
    raise ConfigError(
        f"options.{name}: {found} tokens are more than this model can write ({most}); lower it"
    )


def _own_number(writing: WritingFacts, task: str) -> int:
    for own in (writing.by_task.get(task, {}), writing.settings):
        if own.get("max_new_tokens"):
            return int(own["max_new_tokens"])
        if own.get("max_length"):
            return max(1, int(own["max_length"]) - 1)
    return NEW_TOKENS


def refuse_idle_penalty(facts: ModelFacts, task: str, options: Any) -> None:
    """Raise ConfigError for a length penalty where there are no beams to be chosen from."""
    own = {**_writing(facts).settings, **of_task(facts, task)}
    beams = options.num_beams or own.get("num_beams") or 1
    if options.length_penalty is not None and beams == 1:
        raise ConfigError(
            "options.length_penalty: it only chooses among beams, and num_beams is 1 here; set "
            "options.num_beams to 2 or more, or leave it out"
        )


def input_length(facts: ModelFacts, wanted: int | None) -> int | None:
    """Tokens that a text is cut to; raises ConfigError where the encoder has fewer positions."""
    if wanted is not None and facts.positions is not None and wanted > facts.positions:
        raise ConfigError(
            f"options.max_length: {wanted} tokens are more than this model reads "
            f"({facts.positions}); lower it; options.long_text 'window' reads the rest too"
        )
    return facts.max_length if wanted is None else wanted


def encoded(
    texts: Sequence[str],
    prefix: str,
    processor: Any,
    max_length: int | None,
    *,
    window: bool,
    new_tokens: int,
) -> Encoded:
    """A sequence for each text, or for each passage of it, with the prefix before each."""
    if not window or max_length is None:
        found = tokens.truncated([prefix + text for text in texts], processor, max_length)
        return replace(found, written=new_tokens)
    count = counter(processor)
    room = tokens.room_for_text(processor, max_length) - count([prefix])[0]
    if room < 1:
        raise ConfigError(
            f"options.max_length: {max_length} leaves no room for text beside the special tokens "
            f"and the prefix {prefix!r}; raise it or shorten options.prefix"
        )
    pieces = [passages(text, room, count) for text in texts]
    flat = [prefix + piece for group in pieces for piece in group]
    rows = np.repeat(np.arange(len(texts), dtype=np.int32), [len(group) for group in pieces])
    found = tokens.truncated(flat, processor, max_length)
    return replace(found, rows=rows[found.rows], written=new_tokens)


def without(encoded: Encoded, errors: Mapping[int, str]) -> Encoded:
    """The same without the rows that have an error, which are told."""
    if not errors:
        return encoded
    kept = np.flatnonzero(~np.isin(encoded.rows, list(errors)))
    return replace(encoded.take(kept, encoded.rows[kept]), errors=errors)


def counter(processor: Any) -> Callable[[list[str]], list[int]]:
    """How many tokens each text has, without special tokens."""

    def count(texts: list[str]) -> list[int]:
        if not texts:
            return []
        ids = processor(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"]
        return [len(one) for one in ids]

    return count


def written(outputs: Outputs, processor: Any, without: Collection[int] = ()) -> list[str]:
    """[sequences] the text of each, without special tokens and those in `without`."""
    return [
        processor.decode([one for one in ids if one not in without], skip_special_tokens=True)
        for ids in map(np.ndarray.tolist, sequences(ragged(outputs, "ids")))
    ]


def sequences(ids: Ragged) -> list[Any]:
    """[sequences] of int64 arrays."""
    return np.split(ids.values, ids.offsets[1:-1])


def cut_off(texts: Sequence[str], stop: Sequence[str]) -> tuple[list[str], list[bool]]:
    """[sequences] each text up to the first stop string in it, and whether there was one."""
    ends = [min((at for one in stop if (at := text.find(one)) >= 0), default=-1) for text in texts]
    cut = [text if end < 0 else text[:end] for text, end in zip(texts, ends, strict=True)]
    return cut, [end >= 0 for end in ends]


def reasons(finish: Any) -> list[str]:
    """[sequences] why each text ended, by its name."""
    return [FINISH[number] for number in finish.tolist()]


def stretched(columns: Sequence[Sequence[Any]], rows: Any, count: int) -> list[list[Any]]:
    """[columns][count] values put where their rows are, None elsewhere; one sequence a row."""
    places = {row: place for place, row in enumerate(rows.tolist())}
    order = [places.get(row) for row in range(count)]
    return [[None if at is None else column[at] for at in order] for column in columns]


def joined(texts: Sequence[str], rows: Any, count: int) -> pa.Array:
    """[count] strings: the texts of each row, joined by a space; null for a row without any."""
    found: dict[int, list[str]] = {}
    for row, text in zip(rows.tolist(), texts, strict=True):
        found.setdefault(row, []).append(text)
    groups = (found.get(row) for row in range(count))
    return pa.array([None if group is None else _one(group) for group in groups], pa.string())


def same(ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
    """[rows] whether the texts of the first columns are the same to the letter; null is null."""
    pairs = zip(ours.column(0).to_pylist(), reference.column(0).to_pylist(), strict=True)
    return np.array([one == other for one, other in pairs], np.bool_)


def _one(group: list[str]) -> str:
    return group[0] if len(group) == 1 else " ".join(text.strip() for text in group).strip()


def _writing(facts: ModelFacts) -> WritingFacts:
    return facts.writing or WritingFacts()
