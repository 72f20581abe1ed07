"""Embeddings: what options and files say of a vector, by hand."""

import numpy as np
import pyarrow as pa
import pytest

from labelmill.batch import ModelFacts, SentenceFacts
from labelmill.errors import ConfigError, ModelError
from labelmill.ops import embeddings


def facts(sentence=None, **changes):
    plain = {"model_type": "bert", "architecture": "BertModel", "labels": (), "problem_type": None}
    numbers = {"max_length": 64, "pad_token_id": 0, "positions": 64, "hidden_size": 8}
    return ModelFacts(**{**plain, **numbers, **changes}, sentence=sentence)


def test_described_without_files_is_the_normalized_mean():
    found = embeddings.described(facts())
    assert (found.pooling, found.normalize, found.dimensions) == ("mean", True, 8)


def test_described_with_files_is_what_they_say():
    said = SentenceFacts(pooling="cls", dimensions=3)
    assert embeddings.described(facts(said)) == said


def test_described_what_we_cannot_do_is_refused():
    with pytest.raises(ModelError, match="cannot be followed: its pooling is 'odd'"):
        embeddings.described(
            facts(SentenceFacts(pooling="mean", dimensions=3, fault="its pooling is 'odd'"))
        )


def test_described_model_without_a_width_is_refused():
    with pytest.raises(ModelError, match="no hidden_size"):
        embeddings.described(facts(hidden_size=None))


@pytest.mark.parametrize(
    ("said", "wanted", "expected"),
    [(None, None, 64), (20, None, 20), (20, 30, 30), (100, None, 64), (None, 7, 7)],
)
def test_length_limit_is_the_jobs_else_the_files_else_the_models(said, wanted, expected):
    sentence = SentenceFacts(pooling="mean", dimensions=8, max_length=said)
    assert embeddings.length_limit(facts(sentence), wanted) == expected


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [(None, None, "query: "), ("", None, ""), ("a: ", None, "a: "), (None, "doc", "passage: ")],
)
def test_prompt_is_the_text_else_that_of_the_name_else_the_default(text, name, expected):
    prompts = {"query": "query: ", "doc": "passage: "}
    said = SentenceFacts(pooling="mean", dimensions=8, prompts=prompts, prompt_name="query")
    assert embeddings.prompt(said, text, name) == expected


def test_prompt_unknown_name_tells_the_near_miss():
    said = SentenceFacts(pooling="mean", dimensions=8, prompts={"query": "query: "})
    with pytest.raises(ConfigError, match="did you mean 'query'"):
        embeddings.prompt(said, None, "quary")


def test_normalized_rows_have_length_one_and_zeros_stay():
    found = embeddings.normalized(np.array([[3, 4], [0, 0]], np.float32))
    assert found.tolist() == pytest.approx(np.array([[0.6, 0.8], [0, 0]]))
    assert found.dtype == np.float32


@pytest.mark.parametrize("number", [pa.float32(), pa.float16()])
def test_column_is_a_fixed_list_of_the_numbers(number):
    found = embeddings.column(np.array([[1, 2], [3, 4]], np.float32), number)
    assert found.type == pa.list_(number, 2)
    assert found.to_pylist() == [[1, 2], [3, 4]]
    assert embeddings.column(np.zeros((0, 2), np.float32), number).type == pa.list_(number, 2)
