"""Attention: by plain matrix products on a CPU, where sequences are short.

PyTorch's fused attention has a slow gradient there: with 6 layers of 384 in bfloat16, one thread, a
step of 64 rows of 16 tokens took 1.5 times as long, one of 16 rows of 128 tokens 1.25 times (with
dropout 1.05 and 1.22 times). Long sequences keep it: their scores would take too much memory.
"""

from transformers import PreTrainedModel

LONGEST = 256  # tokens


def choose(model: PreTrainedModel, *, longest: int) -> None:
    """Set the way that is fastest on a CPU for sequences of at most `longest` tokens."""
    if longest <= LONGEST and model.config._attn_implementation == "sdpa":  # noqa: SLF001 - it has no other name
        model.set_attn_implementation("eager")
