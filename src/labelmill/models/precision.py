"""Precision: the number format that a CPU computes fast in, whichever engine drives it."""

import torch


def best_on_cpu() -> str:
    """bfloat16 where this CPU has instructions for it, else float32."""
    able = torch.cpu.get_capabilities()
    native = any(able.get(feature, False) for feature in ("avx512_bf16", "amx_bf16"))
    return "bfloat16" if native else "float32"
