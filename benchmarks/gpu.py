"""What the PyTorch engine reaches on a GPU: `python3 benchmarks/gpu.py --out DIRECTORY`.

Documents are tokenized already, weights are random, nothing is downloaded. Each section prints its
lines as it gets them, and writes all that is known so far to DIRECTORY/gpu.json; one that fails
says so and the next goes on. `--tiny --device cpu` tries the script itself.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "src")]

from benchmarks.gpu_loops import InOrder, Ours, Run, Sorted  # noqa: E402
from benchmarks.gpu_measuring import Measurements  # noqa: E402
from benchmarks.gpu_models import (  # noqa: E402
    BERT,
    DEBERTA,
    LIMIT,
    MINILM,
    Shape,
    documents_of,
    mixed,
    module_of,
)
from benchmarks.gpu_profile import busy  # noqa: E402
from labelmill.engines.pytorch.packing import Packing, compile_layers  # noqa: E402
from labelmill.readouts import Embedding, Logits  # noqa: E402

BUDGETS = (8192, 16_384, 32_768, 65_536, 131_072)
PRECISION = "bfloat16"


class Bench(Measurements):
    """The sections."""

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
            self.found["busy"] = busy(run, documents)
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
