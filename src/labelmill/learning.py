"""The nouns of training: what a model is to learn of a row, what its head gives, what is a mistake.

A task says them, `labelmill.training` makes tensors, losses and a config.json of them. Everything
is numpy; nobody here knows a tensor, a column or a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from labelmill.batch import Array, Encoded, Ragged

IGNORED = -100  # a label that is no part of the loss, as everywhere in PyTorch

# What the loss is of a model's logits and the "labels", and with it what is measured:
#   classes          cross entropy of one label a sequence: int64 [sequences]
#   label_sets       binary cross entropy of each label: float32 [sequences, labels], 0 or 1
#   numbers          squared error: float32 [sequences, numbers]
#   tags             cross entropy of one label a token: Ragged int64, as long as the inputs
#   written          the same of what a decoder writes: Ragged int64 token ids, of any length
#   next_token       cross entropy of each next token: Ragged int64, as long as the inputs; a
#                    label stands at the place of its own token, as in transformers
#   spans            the model's own, of start_positions and end_positions: int64 [sequences]
#   in_batch_negatives  each sequence is near the text beside it and far from all others of its
#                    batch: Ragged "positive_input_ids" and perhaps "negative_input_ids"
Objective = Literal[
    "classes",
    "label_sets",
    "numbers",
    "tags",
    "written",
    "next_token",
    "spans",
    "in_batch_negatives",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What the head of the trained model gives, as its config.json will say."""

    labels: tuple[str, ...]  # in the order of their ids
    problem_type: str | None = None  # as in transformers
    # Rows that have a label, words that have a tag; of entities their number, under their B tag.
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """How a model is trained for a task where the job does not say."""

    epochs: float = 3.0
    rate: float = 5e-5  # highest learning rate, of AdamW
    batch: int = 16  # rows of a step for each worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Model inputs of some rows, as `Task.encode` makes them, and what is to be learned of each.

    Rows in `encoded.errors` are not learned from, whatever sequences they have.
    """

    encoded: Encoded
    # By the name that the loss asks for, mostly "labels": [sequences, ...], or Ragged, which is
    # padded with IGNORED and may have lengths of its own.
    targets: Mapping[str, Array | Ragged]

    def __post_init__(self) -> None:
        for name, values in self.targets.items():
            if len(values) != len(self.encoded):
                raise AssertionError(f"{len(values)} of {name!r} for {len(self.encoded)} sequences")


def of_rows(values: Array, encoded: Encoded) -> Array:
    """[sequences, ...] what is known of each row, for each of its sequences."""
    chosen: Array = np.asarray(values)[encoded.rows]
    return chosen
