"""Labels: numbers for names, and which name a gold number stands for.

Gold labels are names, or numbers (ints, booleans, floats that are whole, or all of them digits as
text where the model has no such label). Numbers become names only
where there is one way to do it:

    1. the command line says the names in the order of the numbers
    2. the model's own labels are numbers: "0", "1", ...
    3. the model's own labels are "LABEL_0", "LABEL_1", ...
    4. the job named the labels in the model's order (`options.labels`)
    5. they are booleans, and the model's own labels are "false" and "true"
"""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from labelmill.errors import ConfigError

_NUMBERED = re.compile(r"LABEL_\d+")
_WHOLE = re.compile(r"-?\d+")
_SHOWN = 10


class Vocabulary:
    """Names met so far, numbered in the order they were met."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """By number."""
        return tuple(self._ids)

    def ids(self, names: pa.Array) -> npt.NDArray[np.int32]:
        """[names] their numbers; none is null."""
        coded = names.dictionary_encode()
        known = [
            self._ids.setdefault(name, len(self._ids)) for name in coded.dictionary.to_pylist()
        ]
        places: npt.NDArray[np.int32] = coded.indices.to_numpy(zero_copy_only=False)
        return np.array(known, np.int32)[places] if known else np.zeros(0, np.int32)


class GoldLabels:
    """Gold labels as they come: all of them names, or all of them numbers."""

    def __init__(self, names: Sequence[str], ordered: Sequence[str]) -> None:
        """`names`: for numbers, as the command line says; `ordered`: as the job does."""
        self._names, self._ordered = names, ordered
        self._vocabulary = Vocabulary()
        self._numbers: bool | None = None
        self._truths = False

    def ids(self, gold: pa.Array) -> npt.NDArray[np.int32]:
        """[gold] numbers of our own, for `resolved`; raises ConfigError for another type."""
        if not len(gold):
            return np.zeros(0, np.int32)  # lists of nothing have no type of element
        numbers = not (pt.is_string(gold.type) or pt.is_large_string(gold.type))
        if self._numbers is None:
            self._numbers = numbers
            self._truths = pt.is_boolean(gold.type)
        if numbers != self._numbers:
            raise ConfigError("--gold: labels are names here and numbers there; make them alike")
        return self._vocabulary.ids(_whole(gold) if numbers else gold.cast(pa.large_string()))

    def resolved(self, known: Sequence[str]) -> tuple[str, ...]:
        """The names of our numbers; `known` are the model's labels. Raises ConfigError."""
        found = self._vocabulary.names
        if not found:
            return found
        # Numbers as text, as CSV has them, are numbers where they are no labels of the model.
        digits = all(map(_WHOLE.fullmatch, found)) and not set(found) & set(known)
        if not self._numbers and not digits:
            if self._names:
                raise ConfigError("--names: is for gold labels that are numbers; remove it")
            return found
        if names := self._names or (self._truths and _spelled(known)):
            return tuple(_named(number, names) for number in found)
        if all(map(_WHOLE.fullmatch, known)):
            return found
        if all(map(_NUMBERED.fullmatch, known)):
            return tuple(f"LABEL_{number}" for number in found)
        if self._ordered:
            return tuple(_named(number, self._ordered) for number in found)
        raise ConfigError(
            f"--gold: labels are numbers ({_some(found)}), and the model's are names "
            f"({_some(known)}); say which are which with --names, the names in the order of the "
            "numbers from 0, separated by commas"
        )


def unknown(gold: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """What is to be said of gold labels that the model was never seen to give."""
    strange = [name for name in gold if name not in set(known)]
    if not strange:
        return ()
    said = (
        f"{len(strange)} of {len(set(gold))} gold labels were never given by the model: "
        f"{_some(strange)}; their rows count as wrong (the model gives {_some(known)})"
    )
    return (said,)


def _named(number: str, names: Sequence[str]) -> str:
    if not 0 <= int(number) < len(names):
        raise ConfigError(
            f"--gold: label {number} has no name, there are {len(names)} ({_some(names)}), "
            "counted from 0; give all names with --names"
        )
    return names[int(number)]


def _spelled(known: Sequence[str]) -> tuple[str, ...]:
    """False and true as the model's labels spell them; nothing where they are others."""
    pairs = (("false", "true"), ("False", "True"), ("FALSE", "TRUE"))
    return next((pair for pair in pairs if known and set(known) <= set(pair)), ())


def _whole(gold: pa.Array) -> pa.Array:
    """Numbers as text; raises ConfigError for what is no whole number."""
    kind = gold.type
    if pt.is_boolean(kind):
        gold = gold.cast(pa.int8())
    elif pt.is_floating(kind):
        try:
            gold = gold.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise ConfigError(f"--gold: a label is no whole number: {error}") from error
    elif not pt.is_integer(kind):
        raise ConfigError(
            f"--gold: is of type {kind}, expected a label for each row: a string or a whole number"
        )
    return pc.cast(gold, pa.large_string())


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
