"""What the PyTorch engine reaches on a GPU: `python3 benchmarks/gpu.py --out DIRECTORY`.

Documents are tokenized already, weights are random, nothing is downloaded. Each section prints its
lines as it gets them, and writes all that is known so far to DIRECTORY/gpu.json; one that fails
says so and the next goes on. `--tiny --device cpu` tries the script itself.
"""

import argparse
import gc
import json
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "src")]

from benchmarks.gpu_loops import InOrder, Ours, Run, Sorted  # noqa: E402
from benchmarks.gpu_models import (  # noqa: E402
    BERT,
    DEBERTA,
    LIMIT,
    MINILM,
    Shape,
    documents_of,
    mixed,
    module_of,
    smaller,
)
from labelmill.batch import Encoded  # noqa: E402
from labelmill.engines.pytorch.packing import Packing, compile_layers  # noqa: E402
from labelmill.readouts import Embedding, Logits  # noqa: E402

BUDGETS = (8192, 16_384, 32_768, 65_536, 131_072)
PRECISION = "bfloat16"


class Bench:
    """The sections, and what they have found."""

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

    # Helpers of the sections

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

    def ours(self, shape: Shape, readout: Any, budget: int, packing: Packing | None) -> Ours:
        """Our engine, in half precision."""
        return Ours(
            shape,
            readout,
            device=self.device,
            precision=PRECISION,
            budget=budget,
            packing=packing,
        )

    # Sections

    def matrix_rate(self) -> None:
        """The device's own: 8192 x 8192 x 8192, random numbers, bf16, after a second of warming."""
        size = 256 if self.tiny else 8192
        a, b = (torch.randn(size, size, device=self.device, dtype=torch.bfloat16) for _ in "ab")
        for turns in (20, 50):
            _synchronized(self.device)
            started = time.perf_counter()
            for _ in range(turns):
                a @ b
            _synchronized(self.device)
            seconds = (time.perf_counter() - started) / turns
        self.rate = 2 * size**3 / seconds
        self.found["matrix_tflops"] = self.rate / 1e12
        self.say(f"matrix products: {self.rate / 1e12:.0f} TFLOP/s")

    def agreement(self) -> None:
        """Packed and padded in bf16 against padded in float32, on this device."""
        shape, documents = self.shape(BERT), documents_of(mixed(self.count(512), seed=3))
        exact = Ours(
            shape, Logits(), device=self.device, precision="float32", budget=16_384, packing=None
        )(documents)
        for name, packing in (("padded", None), ("packed", Packing())):
            logits = self.ours(shape, Logits(), 16_384, packing)(documents)
            entry = {
                "largest_difference_in_deviations": float(abs(logits - exact).max() / exact.std()),
                "same_label": float((logits.argmax(1) == exact.argmax(1)).mean()),
            }
            self.found.setdefault("agreement", {})[name] = entry
            self.say(f"agreement with float32, {name}: {entry}")

    def bert_512(self) -> None:
        """BERT-base, all documents at the limit: which budget, and do graphs help."""
        shape = self.shape(BERT)
        documents = documents_of(np.full(self.count(6144), LIMIT, np.int32))
        run = self.ours(shape, Logits(), BUDGETS[0], Packing())
        for budget in BUDGETS:
            run.budget = budget
            self.time("bert_512", f"packed, budget {budget}", shape, run, documents, repeats=1)
        if self.device == "cuda":
            for budget in (16_384, 32_768):
                packing = Packing(grain=budget, even=True, graphs=True)
                run = self.ours(shape, Logits(), budget, packing)
                self.time("bert_512", f"packed, graphs, budget {budget}", shape, run, documents)

    def minilm(self) -> None:
        """MiniLM on the mix, mean-pooled embeddings."""
        shape, documents = self.shape(MINILM), documents_of(mixed(self.count(30_000)))
        run = self.ours(shape, Embedding(), BUDGETS[0], Packing())
        for budget in (*BUDGETS[1:], 262_144):
            run.budget = budget
            self.time("minilm", f"packed, budget {budget}", shape, run, documents, repeats=1)
        if self.device == "cuda":
            for budget in (32_768, 131_072):
                packing = Packing(grain=budget, even=True, graphs=True)
                run = self.ours(shape, Embedding(), budget, packing)
                self.time("minilm", f"packed, graphs, budget {budget}", shape, run, documents)

    def web_mix(self) -> None:
        """BERT-base on the mix: ours against loops by hand, all interleaved after warming."""
        shape, documents = self.shape(BERT), documents_of(mixed(self.count(12_288)))
        module = module_of(shape, self.device, torch.bfloat16)
        runs: dict[str, Run] = {
            "packed, budget 32768": self.ours(shape, Logits(), 32_768, Packing()),
            "packed, budget 65536": self.ours(shape, Logits(), 65_536, Packing()),
            "by hand, sorted": Sorted(module, device=self.device, budget=65_536),
            "by hand, in order, 256 rows": InOrder(module, device=self.device),
        }
        for _ in range(2):
            for name, run in runs.items():
                self.time("web_mix", name, shape, run, documents, repeats=1)

    def busy(self) -> None:
        """The share of the time that the device computes, and what makes the host wait."""
        shape, documents = self.shape(BERT), documents_of(mixed(self.count(6144), seed=5))
        run = self.ours(shape, Logits(), 65_536, Packing())
        run(documents)
        if self.device == "cuda":
            self.found["busy"] = _busy(run, documents)
            self.say(f"busy: {json.dumps(self.found['busy'], indent=1)}")

    def compiled_512(self) -> None:
        """BERT-base with its layers compiled; the first pass holds the compilation."""
        shape = self.shape(BERT)
        at_limit = documents_of(np.full(self.count(6144), LIMIT, np.int32))
        mix = documents_of(mixed(self.count(12_288)))
        packing = Packing(grain=65_536, even=True, compiled=True)
        run = self.ours(shape, Logits(), 65_536, packing)
        self.time("bert_512", "packed, compiled, budget 65536", shape, run, at_limit)
        self.time("web_mix", "packed, compiled, budget 65536", shape, run, mix)

    def deberta(self) -> None:
        """DeBERTa-v3-base, padded: at the limit, and on the mix."""
        shape = self.shape(DEBERTA)
        at_limit = documents_of(np.full(self.count(1024), LIMIT, np.int32))
        mix = documents_of(mixed(self.count(2048)))
        run = self.ours(shape, Logits(), 32_768, None)
        for budget in (16_384, 32_768, 65_536):
            run.budget = budget
            self.time("deberta", f"512, padded, budget {budget}", shape, run, at_limit, repeats=1)
        run.budget = 32_768
        self.time("deberta", "mix, padded, budget 32768", shape, run, mix)
        module = module_of(shape, self.device, torch.bfloat16)
        by_hand = Sorted(module, device=self.device, budget=32_768)
        self.time("deberta", "mix, by hand, multiples of 8", shape, by_hand, mix)

    def compiled_by_hand(self) -> None:
        """The loop by hand, sorted and compiled for shapes of any size."""
        shape, documents = self.shape(BERT), documents_of(mixed(self.count(12_288)))
        module = module_of(shape, self.device, torch.bfloat16)
        run = Sorted(module, device=self.device, budget=65_536, compiled=True)
        self.time("web_mix", "by hand, sorted, compiled", shape, run, documents)

    def compiled_deberta(self) -> None:
        """DeBERTa's layers compiled, at the limit."""
        shape = self.shape(DEBERTA)
        documents = documents_of(np.full(self.count(1024), LIMIT, np.int32))
        run = self.ours(shape, Logits(), 32_768, None)
        compile_layers(run.module)
        self.time("deberta", "512, padded, compiled", shape, run, documents)


def _busy(run: Run, documents: Encoded) -> dict[str, Any]:
    """From the profiler: the union of all kernels' and copies' times, over the wall time."""
    from torch.profiler import ProfilerActivity, profile

    _synchronized("cuda")
    with profile(activities=[ProfilerActivity.CUDA]) as watched:
        started = time.perf_counter()
        run(documents)
        wall = time.perf_counter() - started
    spans, kernels = [], {}
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


def _described(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "cpu"


def _peak(device: str) -> float:
    return torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0


def _synchronized(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _emptied(device: str) -> None:
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def main() -> None:
    """Run the sections, what matters most first."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--seconds", type=float, default=240, help="start no section after these")
    given = parser.parse_args()
    bench = Bench(given.out, given.device, given.seconds, tiny=given.tiny)
    bench.say(f"{bench.found['device']}, torch {torch.__version__}")
    for work in (
        bench.matrix_rate,
        bench.agreement,
        bench.bert_512,
        bench.web_mix,
        bench.minilm,
        bench.busy,
        bench.deberta,
        bench.compiled_512,
        bench.compiled_by_hand,
        bench.compiled_deberta,
    ):
        bench.section(work)


if __name__ == "__main__":
    main()
