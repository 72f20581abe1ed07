"""What every measurement on a GPU shares: a clock, the device's own rate, and what was found.

It knows no model and no way to run one; the sections are in `benchmarks.gpu`.
"""

import gc
import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_loops import Run
from benchmarks.gpu_models import Shape, smaller
from labelmill.batch import Encoded


class Measurements:
    """Sections one after another, and what they have found."""

    def __init__(self, out: Path, device: str, seconds: float, *, tiny: bool) -> None:
        self.out = out
        self.device = device
        self.tiny = tiny
        self.started = time.perf_counter()
        self.seconds = seconds
        self.found: dict[str, Any] = {"device": _described(device), "torch": torch.__version__}
        self.rate = 0.0  # matrix FLOP/s

    def say(self, line: str) -> None:
        """Print at once, with the seconds since the start."""
        print(f"[{time.perf_counter() - self.started:6.1f}] {line}", flush=True)

    def section(self, work: Callable[[], Any]) -> None:
        """One section, unless time is up; whatever it raises is reported."""
        name = work.__name__
        if time.perf_counter() - self.started > self.seconds:
            self.say(f"{name}: left out, time is up")
            return
        self.say(f"== {name}")
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the next section must still run
            self.say(f"{name} failed: {error!r}")
            self.found[f"{name}.failed"] = traceback.format_exc()
        _emptied(self.device)
        self.save()

    def save(self) -> None:
        """Write what is known so far."""
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / "gpu.json").write_text(json.dumps(self.found, indent=1), "utf-8")

    def shape(self, shape: Shape) -> Shape:
        """As it is, or tiny."""
        return smaller(shape) if self.tiny else shape

    def count(self, documents: int) -> int:
        """Documents to run over."""
        return 24 if self.tiny else documents

    def time(
        self, section: str, name: str, shape: Shape, run: Run, documents: Encoded, repeats: int = 2
    ) -> float:
        """Documents a second, the best of some passes after one that is not counted."""
        started = time.perf_counter()
        run(documents)
        warm = time.perf_counter() - started
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            run(documents)
            seconds.append(time.perf_counter() - started)
        best, tokens = min(seconds), int(documents.lengths.sum())
        share = shape.flops(documents.lengths) / best / self.rate if self.rate else 0.0
        entry = {
            "documents_per_second": len(documents) / best,
            "tokens_per_second": tokens / best,
            "share_of_matrix_rate": share,
            "seconds": seconds,
            "first_pass_seconds": warm,
            "peak_gib": _peak(self.device),
        }
        self.found.setdefault(section, {})[name] = entry
        speed = f"{len(documents) / best:8.0f} docs/s {tokens / best / 1e6:7.2f} M tokens/s"
        rest = f"{share:6.1%} of the matrix rate; first pass {warm:5.1f} s"
        self.say(f"{section:9} {name:31} {speed} {rest}, {entry['peak_gib']:.1f} GiB")
        self.save()
        return len(documents) / best

    def matrix_rate(self) -> None:
        """The device's own: 8192 x 8192 x 8192, random numbers, bf16, after a second of warming."""
        size = 256 if self.tiny else 8192
        a, b = (torch.randn(size, size, device=self.device, dtype=torch.bfloat16) for _ in "ab")
        seconds = 0.0
        for turns in (20, 50):  # the first warms up
            synchronized(self.device)
            started = time.perf_counter()
            for _ in range(turns):
                a @ b
            synchronized(self.device)
            seconds = (time.perf_counter() - started) / turns
        self.rate = 2 * size**3 / seconds
        self.found["matrix_tflops"] = self.rate / 1e12
        self.say(f"matrix products: {self.rate / 1e12:.0f} TFLOP/s")


def _described(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "cpu"


def _peak(device: str) -> float:
    return torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0


def synchronized(device: str) -> None:
    """Wait for what the device still has to do."""
    if device == "cuda":
        torch.cuda.synchronize()


def _emptied(device: str) -> None:
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
