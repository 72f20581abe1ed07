"""Repeats: which sequences are the same to a model, compared with the plain way to find them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelmill.batch import Encoded
from labelmill.ops.repeats import originals

_IDS = st.lists(st.integers(0, 2), min_size=1, max_size=3)
_ROWS = st.lists(st.tuples(_IDS, st.integers(0, 1), st.integers(0, 1)), max_size=12)


def encoded_of(
    ids: Sequence[Sequence[int]],
    kinds: Sequence[int] | None = None,
    fixed: Mapping[str, Any] | None = None,
) -> Encoded:
    """One sequence a row; of each all tokens are of one type."""
    lengths = np.array([len(each) for each in ids], np.int32)
    inputs = {"input_ids": np.array([one for each in ids for one in each], np.int32)}
    if kinds is not None:
        inputs["token_type_ids"] = np.repeat(np.array(kinds, np.int32), lengths)
    return Encoded(
        rows=np.arange(len(ids), dtype=np.int32), lengths=lengths, inputs=inputs, fixed=fixed or {}
    )


@given(rows=_ROWS)
def test_original_is_the_first_sequence_with_the_same_inputs(rows: list[Any]) -> None:
    ids, kinds, seeds = ([row[place] for row in rows] for place in range(3))
    encoded = encoded_of(ids, kinds, {"seed": np.array(seeds, np.int64)})

    assert originals(encoded).tolist() == [rows.index(row) for row in rows]


def test_original_of_sequences_that_share_a_border_is_found_by_their_lengths() -> None:
    assert originals(encoded_of([[1, 1], [1], [1, 1, 1], [1]])).tolist() == [0, 1, 2, 1]
    assert originals(encoded_of([[1, 2], [1], [2, 1], [2, 1]])).tolist() == [0, 1, 2, 2]


def test_original_is_told_apart_by_every_fixed_number() -> None:
    boxes = np.array([[[1, 2], [3, 4]], [[1, 2], [3, 5]], [[1, 2], [3, 4]]], np.int64)

    assert originals(encoded_of([[7], [7], [7]], fixed={"boxes": boxes})).tolist() == [0, 1, 0]


@pytest.mark.parametrize("name", ["input_values", "pixel_values"])
def test_original_of_pictures_and_sound_is_each_itself(name: str) -> None:
    numbers = np.zeros((2, 3), np.float32)
    lengths, rows = np.full(2, 3, np.int32), np.arange(2, dtype=np.int32)
    ragged = {name: numbers.reshape(-1)}

    assert originals(Encoded(rows=rows, lengths=lengths, inputs=ragged)).tolist() == [0, 1]
    assert originals(Encoded(rows=rows, lengths=lengths, fixed={name: numbers})).tolist() == [0, 1]
