"""Prompts: cut at the beginning, never at the end; a seed of a row is its text's alone."""

import numpy as np

from labelmill.ops import prompts


def test_cut_keeps_the_end_and_the_beginning_token():
    ids = np.array([9, 1, 2, 3, 4], np.int32)
    assert prompts.cut(ids, 5, 9).tolist() == [9, 1, 2, 3, 4]
    assert prompts.cut(ids, 3, 9).tolist() == [9, 3, 4]
    assert prompts.cut(ids, 1, 9).tolist() == [9]
    assert prompts.cut(ids, 3, None).tolist() == [2, 3, 4]


def test_encoded_leaves_out_rows_without_tokens():
    given = [np.array([5], np.int32), np.zeros(0, np.int32), np.array([6, 7], np.int32)]
    found = prompts.encoded(given, [11, 12, 13], 4)
    assert found.rows.tolist() == [0, 2]
    assert found.lengths.tolist() == [1, 2]
    assert found.inputs["input_ids"].tolist() == [5, 6, 7]
    assert found.fixed["seed"].tolist() == [11, 13]
    assert found.written == 4


def test_seed_is_the_same_everywhere_and_fits_int64():
    assert prompts.seed_of(0, "the fox") == 8197983021810770568
    assert prompts.seed_of(0, "the fox") != prompts.seed_of(1, "the fox")
    assert prompts.seed_of(0, "the fox") != prompts.seed_of(0, "the fix")
    assert 0 <= prompts.seed_of(2**70, "\ud800") < 2**63
