"""What the profiler says of one pass on a GPU: how busy it is, and what makes the host wait."""

import time
import warnings
from typing import Any

import torch

from benchmarks.gpu_loops import Run
from benchmarks.gpu_measuring import synchronized
from labelmill.batch import Encoded


def busy(run: Run, documents: Encoded) -> dict[str, Any]:
    """From the profiler: the union of all kernels' and copies' times, over the wall time."""
    from torch.profiler import ProfilerActivity, profile

    synchronized("cuda")
    with profile(activities=[ProfilerActivity.CUDA]) as watched:
        started = time.perf_counter()
        run(documents)
        wall = time.perf_counter() - started
    spans: list[tuple[float, float]] = []
    kernels: dict[str, float] = {}
    for event in watched.events():
        if str(event.device_type).endswith("CUDA"):
            spans.append((event.time_range.start, event.time_range.end))
            kernels[event.name] = kernels.get(event.name, 0.0) + event.time_range.elapsed_us()
    covered, end = 0.0, 0.0
    for start, stop in sorted(spans):
        covered += max(0.0, stop - max(start, end))
        end = max(end, stop)
    longest = sorted(kernels.items(), key=lambda pair: -pair[1])[:12]
    return {
        "share_of_wall_time": covered / 1e6 / wall,
        "share_between_first_and_last": covered / (max(s[1] for s in spans) - min(spans)[0]),
        "wall_seconds": wall,
        "launches": len(spans),
        "longest_kernels_share": {name[:90]: time / covered for name, time in longest},
        "synchronizations": _synchronizations(run, documents),
    }


def _synchronizations(run: Run, documents: Encoded) -> list[str]:
    """Where torch itself says that the host waits; waiting for an event is not among them."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run(documents)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sorted({f"{one.filename}:{one.lineno} {str(one.message)[:80]}" for one in caught})
