"""`python -m benchmarks.matrix`: the matrix rate of this CPU, all cores, as one line of JSON.

PyTorch's products of square matrices of random numbers, in float32 and bfloat16; the best of some
sizes and turns, FLOP/s.
"""

import json
import time

import torch

_SIZES = (1024, 2048)
_SECONDS = 0.6  # a size and precision


def main() -> None:
    """Measure and print."""
    precisions = ("float32", "bfloat16")
    print(json.dumps({name: max(_rate(size, name) for size in _SIZES) for name in precisions}))


def _rate(size: int, precision: str) -> float:
    dtype = getattr(torch, precision)
    left, right = (torch.randn(size, size).to(dtype) for _ in range(2))
    best, until = float("inf"), time.perf_counter() + _SECONDS
    while best == float("inf") or time.perf_counter() < until:
        started = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


if __name__ == "__main__":
    main()
