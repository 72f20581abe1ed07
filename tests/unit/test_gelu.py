"""GELU in the product: the same outputs, of layers that are known to be so and of no others.

On the CPU, where the operation takes the exact GELU; what cuBLAS makes of it is in tests/gpu.
"""

import pytest
import torch

from labelmill.engines.pytorch.gelu import GeluLinear, fuse_gelu
from tests.support.packed_models import ARCHITECTURES, tiny_module

# Another activation, one that is multiplied by a gate, or layers by other names.
NONE = {"albert", "eurobert", "jina_embeddings_v3", "modernbert", "nomic_bert"}
IDS = torch.arange(5, 65).view(4, 15)


@torch.inference_mode()
def logits_of(module):
    return module(input_ids=IDS, attention_mask=torch.ones_like(IDS)).logits


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_outputs_stay_as_they_were(architecture):
    module = tiny_module(architecture, "AutoModelForSequenceClassification")
    wanted = logits_of(module)
    assert fuse_gelu(module) == (0 if architecture in NONE else 2)
    torch.testing.assert_close(logits_of(module), wanted, rtol=1e-6, atol=1e-6)


def test_albert_with_the_exact_gelu_is_known_too():
    module = tiny_module("albert", "AutoModelForSequenceClassification", hidden_act="gelu")
    wanted = logits_of(module)
    assert fuse_gelu(module) == 1  # its layers are one
    torch.testing.assert_close(logits_of(module), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "gelu_new", "silu", "gelu_pytorch_tanh"])
def test_other_activations_are_left_alone(activation):
    module = tiny_module("bert", "AutoModel", hidden_act=activation)
    assert fuse_gelu(module) == 0


def test_layers_of_others_are_left_alone():
    class Intermediate(torch.nn.Module):
        def __init__(self):
            super().__init__()
            known = tiny_module("bert", "AutoModel").encoder.layer[0].intermediate
            self.dense, self.intermediate_act_fn = known.dense, known.intermediate_act_fn

    assert fuse_gelu(Intermediate()) == 0


@pytest.mark.parametrize("shape", [(7, 8), (1, 7, 8), (2, 3, 8), (1, 1, 8)])
@pytest.mark.parametrize("compiled", [False, True])
def test_the_shape_in_front_is_kept(shape, compiled):
    torch.manual_seed(0)
    linear = torch.nn.Linear(8, 12)
    fused = GeluLinear(linear)
    call = torch.compile(fused, backend="eager", fullgraph=True) if compiled else fused
    values = torch.randn(shape)
    with torch.inference_mode():
        found = call(values)
        assert found.shape == (*shape[:-1], 12)
        torch.testing.assert_close(found, torch.nn.functional.gelu(linear(values)))


def test_a_compiler_sees_one_operation():
    seen = []

    def backend(graph, inputs):
        del inputs
        seen.extend(str(node.target) for node in graph.graph.nodes if node.op == "call_function")
        return graph.forward

    with torch.inference_mode():
        torch.compile(GeluLinear(torch.nn.Linear(8, 12)), backend=backend)(torch.randn(7, 8))
    assert seen == ["labelmill.gelu_linear.default"]
