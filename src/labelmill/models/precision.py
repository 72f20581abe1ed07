"""Precision: the number format that a CPU computes fast in, and how, whichever engine drives it."""

import torch


def best_on_cpu() -> str:
    """bfloat16 where this CPU has instructions for it, else float32."""
    able = torch.cpu.get_capabilities()
    native = any(able.get(feature, False) for feature in ("avx512_bf16", "amx_bf16"))
    return "bfloat16" if native else "float32"


def has_tiles() -> bool:
    """Whether this CPU computes products in bfloat16 by tiles, as AMX does."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))
