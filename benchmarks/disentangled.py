"""`python -m benchmarks.disentangled`: DeBERTa's attention without gathers, against transformers'.

One model of the base's width in PyTorch and in OpenVINO, each with transformers' attention and with
ours, one thread, in turn: medians of a forward pass over about 1,024 tokens in rows of one length.
"""

import argparse
import copy
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from typing_extensions import override

from benchmarks.gpu_models import DEBERTA, module_of
from labelmill.engines.openvino import runtime
from labelmill.models.disentangled import without_gathers

_LENGTHS = (16, 32, 64, 128, 256, 512)
_TOKENS = 1024  # the budget of both engines on a CPU

Forward = Callable[[torch.Tensor, torch.Tensor], Any]  # ids, mask


def main() -> None:
    """Measure, print a line a length, write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.disentangled", description=__doc__)
    parser.add_argument("--layers", type=int, default=4, help="(default: 4; the base has 12)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", help="JSON file for the results")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    contenders = _contenders(asked.layers)
    found = [_measured(contenders, length, asked.repeats) for length in _LENGTHS]
    if asked.out:
        Path(asked.out).write_text(json.dumps(found, indent=1) + "\n")


def _contenders(layers: int) -> Mapping[str, Forward]:
    theirs = module_of(replace(DEBERTA, layers=layers), "cpu", torch.float32)
    ours = copy.deepcopy(theirs)
    without_gathers(ours)
    return {
        "pytorch, transformers'": _eager(theirs),
        "pytorch, ours": _eager(ours),
        "openvino, transformers'": _compiled(theirs),
        "openvino, ours": _compiled(ours),
    }


def _eager(module: Any) -> Forward:
    def forward(ids: torch.Tensor, mask: torch.Tensor) -> Any:
        with torch.inference_mode():
            return module(input_ids=ids, attention_mask=mask).logits

    return forward


def _compiled(module: Any) -> Forward:
    with torch.no_grad():
        graph = runtime.openvino().convert_model(_Positional(module), example_input=_rows(7))
    names = ("ids", "mask")
    for port, name in zip(graph.inputs, names, strict=True):
        port.get_tensor().set_names({name})
    graph.outputs[0].get_tensor().set_names({"logits"})
    run = runtime.Run(graph, "float32", streams=1)
    return lambda ids, mask: run({"ids": ids.numpy(), "mask": mask.numpy()})


class _Positional(torch.nn.Module):
    """Inputs by position, as tracing wants them."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    @override
    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> Any:
        return self.module(input_ids=ids, attention_mask=mask).logits


def _rows(length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, [rows, length]."""
    torch.manual_seed(length)
    ids = torch.randint(5, 2000, (max(1, _TOKENS // length), length))
    return ids, torch.ones_like(ids)


def _measured(contenders: Mapping[str, Forward], length: int, repeats: int) -> Mapping[str, Any]:
    ids, mask = _rows(length)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(repeats + 1):
        for name, forward in contenders.items():
            start = time.perf_counter()
            forward(ids, mask)
            if turn:  # the first one sets things up
                seconds[name].append(time.perf_counter() - start)
    speed = {name: ids.numel() / statistics.median(taken) for name, taken in seconds.items()}
    told = "  ".join(f"{name} {value:,.0f}" for name, value in speed.items())
    print(f"{length} tokens a row, tokens/s: {told}", flush=True)
    return {"length": length, "tokens_per_second": speed}


if __name__ == "__main__":
    main()
