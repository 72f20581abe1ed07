"""Text batches: as many texts at a time as a tokenizer's Rust backend has memory for."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from labelmill.ops.prefixes import Text

Input = TypeVar("Input", bound="Text | list[str]")  # of the tokenizer

# Before it truncates, the backend holds about a hundred bytes a token for the whole batch.
_BATCH_ROWS = 1024
_BATCH_CHARACTERS = 1_000_000


def batches(inputs: Sequence[Input]) -> Iterator[list[Input]]:
    """As many texts, pairs or lists of words at a time as the backend's memory bears."""
    batch: list[Input] = []
    characters = 0
    for text in inputs:
        batch.append(text)
        characters += len(text) if isinstance(text, str) else sum(map(len, text))
        if len(batch) >= _BATCH_ROWS or characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
