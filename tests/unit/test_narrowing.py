"""Narrowing in PyTorch: the last layer for first tokens alone gives what the whole layer gives."""

import numpy as np
import pytest
import torch

from labelmill.batching import microbatches
from labelmill.engines.pytorch import narrowing
from labelmill.engines.pytorch.packing import Packing
from labelmill.readouts import Embedding, Logits, TokenLogits
from tests.support.packed_models import ARCHITECTURES, PADDING, tiny_module
from tests.unit.test_packing import LENGTHS, encoded, engine_of, outputs_of

CLASSIFIER = "AutoModelForSequenceClassification"
WAYS = [None, Packing(), Packing(grain=100)]
way = pytest.mark.parametrize("packing", WAYS, ids=["padded", "packed", "filled"])


def fed(module):
    """Shapes of what the first dense layer behind each attention is given, layer by layer."""
    shapes = []
    base = module.base_model
    for layer in (base.transformer if hasattr(base, "transformer") else base.encoder).layer:
        dense = layer.ffn if hasattr(layer, "ffn") else layer.intermediate
        dense.register_forward_pre_hook(lambda _, given: shapes.append(given[0].shape))
    return shapes


def plain(architecture):
    """Logits of the model itself, a row at a time."""
    module, rows = tiny_module(architecture, CLASSIFIER), encoded(architecture)
    logits = []
    for batch in microbatches(rows, 1, PADDING):
        inputs = {name: torch.from_numpy(values).long() for name, values in batch.inputs.items()}
        with torch.inference_mode():
            logits.append((int(batch.sequences[0]), module(**inputs).logits[0].numpy()))
    return np.array([values for _, values in sorted(logits, key=lambda pair: pair[0])])


@way
@pytest.mark.parametrize("architecture", sorted(narrowing._BEHIND))
def test_logits_are_those_of_the_model_itself(architecture, packing):
    engine = engine_of(tiny_module(architecture, CLASSIFIER), Logits(), packing)
    found = outputs_of(engine, encoded(architecture), 150)["logits"]
    np.testing.assert_allclose(found, plain(architecture), atol=1e-5, rtol=1e-5)


@way
@pytest.mark.parametrize("architecture", sorted(narrowing._BEHIND))
def test_the_last_layer_takes_one_token_of_each_sequence(architecture, packing):
    module = tiny_module(architecture, CLASSIFIER)
    engine = engine_of(module, Logits(), packing)
    assert engine.packs == (packing is not None and architecture in ARCHITECTURES)
    shapes = fed(module)
    outputs_of(engine, encoded(architecture), 10**6)
    *before, last = shapes
    assert last[1] == 1
    assert last[0] >= len(LENGTHS)
    assert all(shape[0] * shape[1] >= sum(LENGTHS) for shape in before)


@way
@pytest.mark.parametrize(
    ("readout", "auto_class"),
    [(TokenLogits(), "AutoModelForTokenClassification"), (Embedding(pooling="mean"), "AutoModel")],
    ids=["tokens", "mean"],
)
def test_who_reads_every_token_gets_every_token(readout, auto_class, packing):
    module = tiny_module("bert", auto_class)
    engine = engine_of(module, readout, packing)
    shapes = fed(module)
    outputs_of(engine, encoded("bert"), 10**6)
    assert all(shape[0] * shape[1] >= sum(LENGTHS) for shape in shapes)


def test_a_decoder_and_an_unknown_model_are_left_as_they_are():
    for module in (
        tiny_module("bert", CLASSIFIER, is_decoder=True),
        tiny_module("albert", CLASSIFIER),
    ):
        assert not narrowing.narrow(module, lambda hidden: hidden[:, :1])
        assert not any(inner._forward_pre_hooks for inner in module.modules())
