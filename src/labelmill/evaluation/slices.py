"""Slices: the rows of each value of a column, 4 bytes a row."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from labelmill.errors import ConfigError
from labelmill.evaluation.labels import Vocabulary
from labelmill.ops.arrow_types import is_binary

MOST = 1000
_NULL = -1


class Slices:
    """One column by which rows are told apart."""

    def __init__(self, column: str) -> None:
        self.column = column
        self._vocabulary = Vocabulary()
        self._chunks: list[npt.NDArray[np.int32]] = []

    def add(self, values: pa.Array) -> None:
        """Values of rows; raises ConfigError where they are nested, or too many different ones."""
        if pt.is_nested(values.type) or is_binary(values.type):
            raise ConfigError(
                f"--by {self.column}: is of type {values.type}, expected a text or one number"
            )
        filled = values.cast(pa.large_string())
        ids = np.full(len(filled), _NULL, np.int32)
        there = filled.is_valid().to_numpy(zero_copy_only=False)
        ids[there] = self._vocabulary.ids(filled.drop_null())
        self._chunks.append(ids)
        if len(self._vocabulary.names) > MOST:
            raise ConfigError(
                f"--by {self.column}: has more than {MOST} different values; take a column with "
                "fewer"
            )

    def rows(self) -> dict[str | None, npt.NDArray[np.int64]]:
        """The places of each value's rows, the most frequent value first; None is null."""
        ids = np.concatenate(self._chunks) if self._chunks else np.zeros(0, np.int32)
        order = np.argsort(ids, kind="stable")
        found, starts = np.unique(ids[order], return_index=True)
        pieces = np.split(order, starts[1:]) if len(found) else []
        names = self._vocabulary.names
        named = [
            (None if place == _NULL else names[place], piece)
            for place, piece in zip(found.tolist(), pieces, strict=True)
        ]
        return dict(sorted(named, key=lambda each: -len(each[1])))
