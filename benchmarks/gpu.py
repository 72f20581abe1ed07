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
from labelmill.batch import Encoded  # noqa: E402
from labelmill.engines.pytorch.packing import Packing  # noqa: E402
from labelmill.readouts import Embedding, Logits  # noqa: E402

BUDGETS = (16_384, 32_768, 65_536, 131_072)
PRECISION = "bfloat16"


class Bench(Measurements):
    """The sections."""

    def ours(
        self,
        shape: Shape,
        readout: Any,
        budget: int,
        packing: Packing | None,
        *,
        compiled: bool = False,
    ) -> Ours:
        """Our engine, in half precision."""
        return Ours(
            shape,
            readout,
            device=self.device,
            precision=PRECISION,
            budget=budget,
            packing=packing,
            compiled=compiled,
        )

    def at_limit(self, count: int) -> Encoded:
        """Documents that are all cut."""
        return documents_of(np.full(self.count(count), LIMIT, np.int32))

    def agreement(self) -> None:
        """Packed and padded in bf16 against padded in float32, on this device."""
        for known in (BERT, DEBERTA):
            shape, documents = self.shape(known), documents_of(mixed(self.count(512), seed=3))
            exact = Ours(
                shape,
                Logits(),
                device=self.device,
                precision="float32",
                budget=16_384,
                packing=None,
            )(documents)
            for name, packing in (("padded", None), ("packed", Packing())):
                logits = self.ours(shape, Logits(), 16_384, packing)(documents)
                entry = {
                    "largest_difference_in_deviations": float(
                        abs(logits - exact).max() / exact.std()
                    ),
                    "same_label": float((logits.argmax(1) == exact.argmax(1)).mean()),
                }
                self.found.setdefault("agreement", {})[f"{known.name}, {name}"] = entry
                self.say(f"agreement with float32, {known.name}, {name}: {entry}")

    def bert_512(self) -> None:
        """BERT-base, all documents at the limit: which budget, and does compiling help."""
        shape, documents = self.shape(BERT), self.at_limit(6144)
        run = self.ours(shape, Logits(), BUDGETS[0], Packing())
        for budget in BUDGETS:
            run.budget = budget
            self.time("bert_512", f"packed, budget {budget}", shape, run, documents, repeats=1)
        run = self.ours(shape, Logits(), 65_536, Packing(), compiled=True)
        self.time("bert_512", "packed, compiled, budget 65536", shape, run, documents)

    def web_mix(self) -> None:
        """BERT-base on the mix: ours against loops by hand, all in turns after warming."""
        shape, documents = self.shape(BERT), documents_of(mixed(self.count(8192)))
        plain, compiled = (
            module_of(shape, self.device, torch.bfloat16) for _ in ("plain", "compiled")
        )
        runs: dict[str, Run] = {
            "packed, budget 65536": self.ours(shape, Logits(), 65_536, Packing()),
            "packed, compiled": self.ours(shape, Logits(), 65_536, Packing(), compiled=True),
            "by hand, sorted": Sorted(plain, device=self.device, budget=65_536),
            "by hand, sorted, compiled": Sorted(
                compiled, device=self.device, budget=65_536, compiled=True
            ),
            "by hand, in order, 256 rows": InOrder(plain, device=self.device),
        }
        for _ in range(2):
            for name, run in runs.items():
                self.time("web_mix", name, shape, run, documents, repeats=1)

    def minilm(self) -> None:
        """MiniLM on the mix, mean-pooled embeddings."""
        shape, documents = self.shape(MINILM), documents_of(mixed(self.count(30_000)))
        run = self.ours(shape, Embedding(), BUDGETS[0], Packing())
        for budget in BUDGETS[2:]:
            run.budget = budget
            self.time("minilm", f"packed, budget {budget}", shape, run, documents, repeats=1)
        run = self.ours(shape, Embedding(), 131_072, Packing(), compiled=True)
        self.time("minilm", "packed, compiled", shape, run, documents)

    def busy(self) -> None:
        """The share of the time that the device computes, and what makes the host wait."""
        shape, documents = self.shape(BERT), documents_of(mixed(self.count(6144), seed=5))
        for name, compiled in (("busy", False), ("busy, compiled", True)):
            run = self.ours(shape, Logits(), 65_536, Packing(), compiled=compiled)
            run(documents)
            if self.device == "cuda":
                self.found[name] = busy(run, documents)
                self.say(f"{name}: {json.dumps(self.found[name], indent=1)}")

    def deberta(self) -> None:
        """DeBERTa-v3-base: at the limit, and on the mix."""
        shape, documents = self.shape(DEBERTA), self.at_limit(2048)
        mix = documents_of(mixed(self.count(3072)))
        run = self.ours(shape, Logits(), 32_768, Packing())
        for budget in BUDGETS:
            run.budget = budget
            self.time("deberta", f"512, packed, budget {budget}", shape, run, documents, repeats=1)
        run.budget = 32_768
        self.time("deberta", "mix, packed", shape, run, mix)
        by_hand = Sorted(
            module_of(shape, self.device, torch.bfloat16), device=self.device, budget=32_768
        )
        few = self.at_limit(512)
        self.time("deberta", "512, by hand", shape, by_hand, few, repeats=1)
        self.time("deberta", "mix, by hand, sorted", shape, by_hand, mix, repeats=1)
        padded = self.ours(shape, Logits(), 32_768, None)
        self.time("deberta", "512, padded", shape, padded, few, repeats=1)

    def compiled_deberta(self) -> None:
        """The same, its layers compiled."""
        shape = self.shape(DEBERTA)
        run = self.ours(shape, Logits(), 32_768, Packing(), compiled=True)
        self.time("deberta", "512, packed, compiled", shape, run, self.at_limit(2048))
        mix = documents_of(mixed(self.count(3072)))
        self.time("deberta", "mix, packed, compiled", shape, run, mix)


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
        bench.deberta,
        bench.compiled_deberta,
        bench.minilm,
        bench.busy,
    ):
        bench.section(work)


if __name__ == "__main__":
    main()
