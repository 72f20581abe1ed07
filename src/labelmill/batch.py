"""The nouns of prediction: encoded rows, microbatch, outputs, model facts.

Tasks make encoded rows, batching cuts them into microbatches, engines turn those into outputs.
Everything is numpy; nobody here knows a tensor, a column or a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Outputs = Mapping[str, Array]  # by name, e.g. "logits"; first axis: one entry a sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What a task must know of a checkpoint, read from its config without loading weights."""

    model_type: str  # e.g. "bert"
    architecture: str  # e.g. "BertForSequenceClassification"
    labels: tuple[str, ...]  # id2label in the order of ids; () where the model has none
    problem_type: str | None  # as in transformers, e.g. single_label_classification
    max_length: int | None  # tokens an input is cut to where the job says nothing; None: never cut
    pad_token_id: int
    positions: int | None = None  # tokens beyond which the model breaks; None: no such end


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Model inputs of the sequences of one split, ragged: sequences lie end to end.

    A row may have several sequences (windows over a long text); `rows` is then not strictly
    ascending, but never descending.
    """

    rows: npt.NDArray[np.int32]  # [sequences] the row each sequence belongs to
    lengths: npt.NDArray[np.int32]  # [sequences] tokens
    inputs: Mapping[str, npt.NDArray[np.int32]]  # [sum(lengths)] by name, e.g. "input_ids"

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """[sequences + 1] where each sequence starts in `inputs`."""
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    def __len__(self) -> int:
        return len(self.lengths)


@dataclass(frozen=True, slots=True, kw_only=True)
class Microbatch:
    """The sequences of one forward pass, padded to the longest."""

    sequences: npt.NDArray[np.int64]  # [batch] their places in the Encoded they come from
    inputs: Mapping[str, npt.NDArray[np.int64]]  # [batch, length], "attention_mask" among them
