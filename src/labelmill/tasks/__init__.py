"""Tasks: what goes into a model and what its outputs mean. One module a task, found by its name.

A module under this package is a task when it holds a class of that name in camel case
(`text_classification` -> `TextClassification`); `Task` says what such a class must have. A task
speaks Arrow columns and numpy; it knows no tensor, no file and no Ray.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from labelmill.batch import Encoded, ModelFacts, Outputs
from labelmill.config.section import Section


class Task(Protocol):
    """What a task class must have; it holds no state."""

    name: ClassVar[str]  # as Hugging Face writes it, e.g. "text-classification"
    auto_class: ClassVar[str]  # of transformers, e.g. "AutoModelForSequenceClassification"
    fields: ClassVar[
        tuple[str, ...]
    ]  # bound to columns by source.columns; "?" ends the name of an optional one
    metrics: ClassVar[tuple[str, ...]]  # computed by `evaluate`
    Options: ClassVar[type[Section]]  # the job file's `options`

    def encode(
        self, fields: Mapping[str, pa.ChunkedArray], processor: Any, facts: ModelFacts, options: Any
    ) -> Encoded:
        """Model inputs of good rows: required fields are never null, optional ones may be absent.

        Raises ConfigError where the options do not fit the model.
        """
        ...

    def decode(
        self, outputs: Outputs, encoded: Encoded, rows: int, facts: ModelFacts, options: Any
    ) -> pa.Table:
        """The columns of `schema`, with exactly `rows` rows; null where a row had no sequence."""
        ...

    def schema(self, facts: ModelFacts, options: Any) -> pa.Schema:
        """The columns that the task adds, every one nullable.

        Raises ConfigError where the options do not fit the model.
        """
        ...

    def agrees(self, ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
        """[rows] whether two decoded tables say the same, small differences of scores aside."""
        ...
