"""Disentangled attention without gathers says what transformers' says."""

import copy

import pytest
import torch
from transformers.models.deberta_v2.modeling_deberta_v2 import DebertaV2Encoder

from labelmill.engines.pytorch.narrowing import narrow
from labelmill.models.disentangled import without_gathers
from tests.support.packed_models import DISENTANGLED, PADDING, tiny_module

CLASSIFIER = "AutoModelForSequenceClassification"
LENGTHS = (1, 2, 17, 64)


def model(**settings):
    """A tiny DeBERTa v2."""
    return tiny_module("deberta-v2", CLASSIFIER, **settings)


def batch(length):
    """Three rows, of which the second is half as long and the third one token."""
    counts = torch.tensor([length, max(1, length // 2), 1])
    mask = (torch.arange(length) < counts[:, None]).long()
    ids = torch.randint(5, 90, (3, length), generator=torch.Generator().manual_seed(length))
    return {"input_ids": torch.where(mask.bool(), ids, PADDING), "attention_mask": mask}


def logits(module, length):
    with torch.inference_mode():
        return module(**batch(length)).logits.float()


def gathers(module):
    with torch.profiler.profile() as profile:
        logits(module, 17)
    return sum(event.count for event in profile.key_averages() if event.key == "aten::gather")


@pytest.mark.parametrize("settings", DISENTANGLED.values(), ids=DISENTANGLED)
def test_it_says_what_transformers_says(settings):
    theirs = model(**settings)
    ours = copy.deepcopy(theirs)
    without_gathers(ours)
    for length in LENGTHS:
        torch.testing.assert_close(logits(ours, length), logits(theirs, length), rtol=0, atol=1e-5)
    assert gathers(theirs) == 2 * len(settings.get("pos_att_type", ["c2p", "p2c"]))  # of 2 layers
    assert gathers(ours) == 0


def test_distances_count_in_what_was_compared():
    far = model()
    near = copy.deepcopy(far)
    with torch.no_grad():
        near.base_model.encoder.rel_embeddings.weight.zero_()
    assert (logits(far, 17) - logits(near, 17)).abs().max() > 0.01


def test_bfloat16_is_no_further_off_than_transformers():
    exact = model()
    theirs = copy.deepcopy(exact).bfloat16()
    ours = copy.deepcopy(theirs)
    without_gathers(ours)
    off = [(logits(rough, 64) - logits(exact, 64)).abs().max() for rough in (ours, theirs)]
    assert off[0] < 2 * off[1] + 0.01


def test_only_transformers_own_relative_attention_is_replaced():
    class Own(DebertaV2Encoder):
        """A checkpoint's own code may gather something else."""

    own, other = model(), tiny_module("bert", CLASSIFIER)
    without = tiny_module("deberta-v2", CLASSIFIER, relative_attention=False)
    own.base_model.encoder.__class__ = Own
    for module in (own, without, other):
        kinds = [type(inner) for inner in module.modules()]
        without_gathers(module)
        assert [type(inner) for inner in module.modules()] == kinds


def test_the_last_layer_is_narrowed_unless_a_convolution_follows_it():
    for layers, narrowed in ((1, False), (2, True)):
        module = model(num_hidden_layers=layers, conv_kernel_size=3)
        before = logits(module, 17)
        assert narrow(module, lambda hidden: hidden[:, :1]) == narrowed
        torch.testing.assert_close(logits(module, 17), before, rtol=0, atol=1e-5)
