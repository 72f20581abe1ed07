"""Narrowing: the last layer for the first token alone gives the numbers that the whole gives."""

import numpy as np
import pytest

pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")

from huggingface_hub import constants

from labelmill.engines import openvino
from labelmill.engines.openvino import conversion, narrowing, runtime
from labelmill.engines.openvino.reading import outputs_of
from labelmill.readouts import Embedding, Logits, TokenLogits
from tests.contract.test_openvino import CLASSIFIER, TAGGER, assert_alike, both, checkpoint_at
from tests.support.models import save_tiny, tiny_classifier

LAYERS = 2  # of the tiny models


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "graphs"))


def converted(path):
    return conversion.convert(checkpoint_at(path), CLASSIFIER, Logits(), ("logits",), 1)


def whole(path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(narrowing, "narrow", lambda _: 0)
        return converted(path)


def texts(rows=3, tokens=17):
    random = np.random.default_rng(0)
    attended = np.arange(tokens) < np.array([tokens, 1, 9])[:rows, np.newaxis]
    return {
        "input_ids": np.where(attended, random.integers(5, 60, (rows, tokens)), 0),
        "attention_mask": attended.astype(np.int64),
    }


def logits(graph, batches):
    run = runtime.Run(graph, "float32", 1)
    return [run(inputs)["logits"].copy() for inputs in batches]


def multiplied(graph):
    """Of each dense layer on tokens: whether it is of one token alone."""
    layers = [op for op in graph.get_ordered_ops() if op.get_type_name() == "MatMul"]
    shapes = [layer.get_output_partial_shape(0) for layer in layers]
    return [shape[1].get_max_length() == 1 for shape in shapes if len(shape) == 3]


@pytest.mark.parametrize("architecture", sorted(openvino._MODEL_TYPES))
def test_the_last_layer_takes_one_token_and_the_numbers_are_the_same(
    tmp_path, monkeypatch, architecture
):
    before = whole(tiny_classifier(tmp_path, architecture), monkeypatch)
    narrow = before.clone()
    narrowing.narrow(narrow)
    assert multiplied(before).count(True) == 0
    assert multiplied(narrow).count(True) >= 3  # behind the attention, and both that follow
    given = [texts(tokens=tokens) for tokens in (1, 2, 17, 40)]
    for found, wanted in zip(logits(narrow, given), logits(before, given), strict=True):
        assert np.abs(found - wanted).max() < 1e-5


def test_keys_and_values_are_still_of_all_tokens(tmp_path):
    graph = converted(tiny_classifier(tmp_path, "bert"))
    each = multiplied(graph)
    # Query, key, value, behind the attention, and two; in the last layer key and value alone.
    assert each.count(False) == 6 * (LAYERS - 1) + 2
    assert each.count(True) == 4


def chain(*, shared):
    """Tokens [rows, tokens, 4] through an activation; the first one out, and all if `shared`."""
    ops = runtime.openvino().opset13
    tokens = ops.parameter([-1, -1, 4], np.float32)
    tokens.output(0).get_tensor().set_names({"tokens"})
    active = ops.relu(ops.add(tokens, np.float32(1)))
    first = ops.gather(active, ops.constant(0), ops.constant(1))
    first.output(0).get_tensor().set_names({"first"})
    active.output(0).get_tensor().set_names({"all"})
    outputs = [first, active] if shared else [first]
    return runtime.openvino().Model(outputs, [tokens])


@pytest.mark.parametrize(("shared", "narrowed"), [(False, 2), (True, 0)])
def test_what_someone_else_takes_whole_stays_whole(shared, narrowed):
    graph = chain(shared=shared)
    assert narrowing.narrow(graph) == narrowed
    given = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    found = runtime.Run(graph, "float32", 1)({"tokens": given})
    wanted = np.maximum(given + 1, 0)
    assert np.array_equal(found["first"], wanted[:, 0])
    if shared:
        assert np.array_equal(found["all"], wanted)


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "modernbert"])
def test_an_embedding_of_the_first_token_takes_one_token_in_the_last_layer(tmp_path, architecture):
    path = save_tiny(tmp_path, architecture, "AutoModel")
    readout = Embedding(pooling="cls")
    graph = conversion.convert(checkpoint_at(path), "AutoModel", readout, outputs_of(readout), 1)
    assert multiplied(graph).count(True) >= 3
    ours, wanted = both(path, "AutoModel", readout)
    assert_alike(ours, wanted)


@pytest.mark.parametrize("readout", [Embedding(), Embedding(pooling="cls", skip=1)])
def test_an_embedding_of_other_tokens_is_left_as_it_is(tmp_path, readout):
    path = save_tiny(tmp_path, "bert", "AutoModel")
    graph = conversion.convert(checkpoint_at(path), "AutoModel", readout, outputs_of(readout), 1)
    assert multiplied(graph).count(True) == 0


def test_a_tagger_is_left_as_it_is(tmp_path, monkeypatch):
    counted = []
    narrow = narrowing.narrow
    monkeypatch.setattr(narrowing, "narrow", lambda graph: counted.append(narrow(graph)))
    path = save_tiny(tmp_path, "bert", TAGGER)
    conversion.convert(checkpoint_at(path), TAGGER, TokenLogits(), ("logits",), 1)
    assert counted == [0]
