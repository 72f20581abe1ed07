"""Score lists: the column `scores` of a classifier as a matrix, a column for each label."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from labelmill.errors import ConfigError
from labelmill.evaluation.labels import Vocabulary


class ScoreLists:
    """Scores of all labels, 4 bytes a label and row."""

    def __init__(self) -> None:
        self._vocabulary = Vocabulary()
        self._chunks: list[npt.NDArray[np.float32]] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The model's labels."""
        return self._vocabulary.names

    def add(self, column: pa.Array) -> None:
        """Lists of label and score, every label once in each."""
        entries = column.flatten()
        ids = self._vocabulary.ids(entries.field("label"))
        width = len(self._vocabulary.names)
        if len(ids) != width * len(column):
            raise ConfigError(
                f"column 'scores': {len(column)} rows list {len(ids)} scores of {width} labels; "
                "expected every label once in each row"
            )
        values = entries.field("score").to_numpy(zero_copy_only=False).astype(np.float32)
        matrix = np.full((len(column), width), np.nan, np.float32)
        matrix[np.repeat(np.arange(len(column)), width), ids] = values
        self._chunks.append(matrix)

    def matrix(self) -> npt.NDArray[np.float32]:
        """[rows, labels]."""
        return np.concatenate(self._chunks)
