"""Writing: what is null comes from the checkpoint; texts go back to their rows."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from labelmill.batch import ModelFacts, WritingFacts
from labelmill.errors import ConfigError
from labelmill.ops import writing

FACTS = ModelFacts(
    model_type="bart",
    architecture="BartForConditionalGeneration",
    labels=(),
    problem_type=None,
    max_length=64,
    pad_token_id=1,
    positions=64,
    writing=WritingFacts(
        settings={"max_length": 50, "num_beams": 4},
        by_task={"summarization": {"max_length": 30, "prefix": "x: ", "min_length": 9}},
    ),
)


@pytest.mark.parametrize(
    ("task", "wanted", "expected"),
    [("summarization", None, 29), ("translation", None, 49), ("summarization", 7, 7)],
)
def test_new_tokens_are_the_jobs_then_the_tasks_then_the_checkpoints(task, wanted, expected):
    assert writing.new_tokens(FACTS, task, wanted, "max_new_tokens") == expected


def test_new_tokens_of_a_silent_checkpoint_are_the_default():
    silent = replace(FACTS, positions=None, writing=WritingFacts())
    assert writing.new_tokens(silent, "summarization", None, "max_new_tokens") == 128


def test_settings_of_the_job_are_laid_over_the_tasks():
    own = writing.settings(FACTS, "summarization", {"num_beams": None})
    assert own == {"min_length": 9}
    job = writing.settings(FACTS, "summarization", {"num_beams": 2, "min_new_tokens": 3})
    assert job == {"min_length": 0, "num_beams": 2, "min_new_tokens": 3}


def test_input_length_beyond_the_positions_is_refused():
    assert writing.input_length(FACTS, None) == 64
    assert writing.input_length(FACTS, 10) == 10
    with pytest.raises(ConfigError, match=r"65 tokens .* \(64\)"):
        writing.input_length(FACTS, 65)


def test_cut_off_ends_at_the_first_of_all_stop_strings():
    texts = ["one. two; three", "none", ".", ""]
    assert writing.cut_off(texts, [";", "."]) == (
        ["one", "none", "", ""],
        [True, False, True, False],
    )
    assert writing.cut_off(texts, []) == (texts, [False] * 4)


def test_joined_puts_the_texts_of_a_row_together():
    rows = np.array([0, 2, 2, 3], np.int32)
    found = writing.joined([" a ", " b", "c ", ""], rows, 5)
    assert found.to_pylist() == [" a ", None, "b c", "", None]


def test_stretched_puts_values_where_their_rows_are():
    rows = np.array([1, 3], np.int32)
    assert writing.stretched([["a", "b"], [1, 2]], rows, 4) == [
        [None, "a", None, "b"],
        [None, 1, None, 2],
    ]


def test_reasons_are_named():
    assert writing.reasons(np.array([0, 1])) == ["stop", "length"]


def test_same_compares_to_the_letter():
    ours, reference = pa.table({"a": ["x", None, "y"]}), pa.table({"a": ["x", None, "y "]})
    assert writing.same(ours, reference).tolist() == [True, True, False]
