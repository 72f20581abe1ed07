"""Contrasts: rows of texts that belong together, and perhaps of one that does not.

What the loss makes of them is said in `training.contrast`. Texts are numbered by what is in them,
so that a text is never taken for the opposite of its own equal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from labelmill.batch import Array, Encoded, Ragged
from labelmill.errors import ConfigError
from labelmill.learning import Examples
from labelmill.ops.prompts import seed_of

NOTHING = -1  # number of a text that there is not
ROLES = ("positive", "negative")


def refuse(*, pooling: str, dimensions: int | None, window: bool) -> None:
    """Raise ConfigError for options that a trained model could not keep, or cannot learn by."""
    if pooling == "pooler":
        raise ConfigError(
            "options.pooling: 'pooler' cannot be trained, as sentence-transformers' files have no "
            "word for it; choose 'cls' or 'mean'"
        )
    if dimensions is not None:
        raise ConfigError(
            "options.dimensions: whole vectors are trained, and may be cut when labelling; leave "
            "it out"
        )
    if window:
        raise ConfigError(
            "options.long_text: 'window' makes several vectors of a text, and one is trained; use "
            "'truncate', and 'window' again for labelling"
        )


def filled(positives: Sequence[str], negatives: Sequence[str | None]) -> list[str]:
    """The negatives, and in the place of one that is null or blank some text that has tokens."""
    pairs = zip(positives, negatives, strict=True)
    return [other if other and other.strip() else one for one, other in pairs]


def learned(
    encoded: Encoded,
    others: Mapping[str, Encoded],
    texts: Sequence[str],
    given: Mapping[str, Sequence[str | None]],
) -> Examples:
    """Texts [rows], and those `given` by their ROLES, which `others` has encoded.

    Targets are "positive_" and "negative_" before the names of the model's inputs, and "text_id",
    "positive_id", "negative_id": int64 [sequences]. A row without a text or its positive is an
    error.
    """
    errors = dict(encoded.errors)
    for name, column in {"text": texts, "positive": given["positive"]}.items():
        told = f"the {name} is blank"
        errors |= {row: told for row, one in enumerate(column) if not (one or "").strip()}
    kept = set(range(len(texts))) - errors.keys()
    for side in (encoded, *others.values()):
        without = kept - set(side.rows.tolist())
        errors |= dict.fromkeys(without, "one of its texts has no token")
        kept -= without
    rows = np.array(sorted(kept), np.int32)
    targets: dict[str, Array | Ragged] = {"text_id": _numbers(texts)[rows]}
    for name, other in others.items():
        side = other.take(np.searchsorted(other.rows, rows), rows)
        lengths = side.lengths.astype(np.int64)
        targets |= {
            f"{name}_{key}": Ragged(values=values.astype(np.int64), lengths=lengths)
            for key, values in side.inputs.items()
        }
        targets[f"{name}_id"] = _numbers(given[name])[rows]
    first = encoded.take(np.searchsorted(encoded.rows, rows), rows)
    return Examples(encoded=replace(first, errors=errors), targets=targets)


def _numbers(texts: Sequence[str | None]) -> npt.NDArray[np.int64]:
    """[rows] equal for equal texts, NOTHING where there is none."""
    told = [seed_of(0, text) if text and text.strip() else NOTHING for text in texts]
    return np.array(told, np.int64)
