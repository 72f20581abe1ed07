"""Pooling by hand: two sequences of three and two tokens, padded with what is no number."""

import numpy as np
import pytest

from labelmill.ops.pooling import normalized, pool

HIDDEN = np.array([[[1, 2], [3, 4], [8, 0]], [[5, 1], [-1, 7], [np.nan, np.inf]]], dtype=np.float32)
LENGTHS = np.array([3, 2])


@pytest.mark.parametrize(
    ("pooling", "skip", "wanted"),
    [
        ("cls", 0, [[1, 2], [5, 1]]),
        ("cls", 1, [[3, 4], [-1, 7]]),
        ("last", 0, [[8, 0], [-1, 7]]),
        ("mean", 0, [[4, 2], [2, 4]]),
        ("mean", 1, [[5.5, 2], [-1, 7]]),
        ("max", 0, [[8, 4], [5, 7]]),
        ("max", 1, [[8, 4], [-1, 7]]),
    ],
)
def test_pool_counts_neither_padding_nor_what_is_skipped(pooling, skip, wanted):
    found = pool(HIDDEN, LENGTHS, pooling, skip)
    assert found.dtype == np.float32
    assert np.array_equal(found, np.array(wanted, np.float32))


@pytest.mark.parametrize("pooling", ["cls", "last", "mean", "max"])
def test_pool_gives_memory_of_its_own(pooling):
    """An engine reuses that of the hidden states."""
    assert not np.shares_memory(pool(HIDDEN, LENGTHS, pooling, 0), HIDDEN)


def test_mean_without_any_padding_is_the_plain_mean():
    whole = HIDDEN[:, :2]
    assert np.array_equal(pool(whole, np.array([2, 2]), "mean", 0), whole.mean(axis=1))


def test_normalized_has_length_one_and_zeros_stay():
    found = normalized(np.array([[3, 4], [0, 0]], np.float32))
    assert np.allclose(found, [[0.6, 0.8], [0, 0]])
    assert found.dtype == np.float32
