"""GELU in the product: on a GPU, a dense layer and the GELU behind it in one step.

The sum of a product is still in registers when its GELU is taken, so that the widest activations of
a model are written once, and not read and written again. cuBLAS takes GELU by tanh there; from the
exact one that is 0.0005 at most, an eighth of what bfloat16 rounds such numbers by. So it is for
bfloat16 alone.
"""

from typing import Any

import torch
from torch.nn import functional
from typing_extensions import TypeIs, override

# Of a module: the dense layer, and what is applied to its output alone.
_PAIRS = (
    ("dense", "intermediate_act_fn"),  # BERT and its like
    ("lin1", "activation"),  # DistilBERT
    ("ffn", "activation"),  # ALBERT
)


@torch.library.custom_op("labelmill::gelu_linear", mutates_args=())
def _gelu_linear(values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """[..., in] -> [..., out]; one operation for a compiler, too."""
    rows = values.reshape(-1, values.shape[-1])
    product = torch._addmm_activation(bias, rows, weight.t(), use_gelu=True)  # noqa: SLF001
    return product.view(*values.shape[:-1], weight.shape[0])


@_gelu_linear.register_fake
def _shaped(values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    del bias
    return values.new_empty(*values.shape[:-1], weight.shape[0])


class GeluLinear(torch.nn.Module):
    """A dense layer whose output is GELU's."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias

    @override
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """[..., in] -> [..., out]."""
        found: torch.Tensor = _gelu_linear(values, self.weight, self.bias)
        return found


def fuse_gelu(module: Any) -> int:
    """Have layers of transformers' own classes take their GELU in the product; how many do."""
    found = 0
    known = [x for x in module.modules() if type(x).__module__.startswith("transformers.")]
    for inner in known:
        for dense, activation in _PAIRS:
            linear, act = getattr(inner, dense, None), getattr(inner, activation, None)
            if _is_known(linear) and getattr(act, "act", None) is functional.gelu:
                setattr(inner, dense, GeluLinear(linear))
                setattr(inner, activation, torch.nn.Identity())
                found += 1
    return found


def _is_known(linear: Any) -> TypeIs[torch.nn.Linear]:
    return type(linear) is torch.nn.Linear and linear.bias is not None
