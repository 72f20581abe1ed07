"""hand_openvino: the best hand-written loop around OpenVINO, in one process.

One stream a core, fed through OpenVINO's own queue of asynchronous requests; the model converted
beforehand, in int8 quantized by nncf as its guide shows, calibrated on rows of the corpus. A
process that labels imports neither torch nor transformers.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders import whole
from benchmarks.contenders.loop import Floats, Ids, Loop, tile
from benchmarks.setting import Setting, preparing

# Tokens of one request, padding included; of 512 to 4096 the speed is the same within 2%.
_BUDGET = 1024
_CALIBRATION = 300  # rows
_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVINOLoop(Loop):
    """A compiled graph and a tokenizer, ready to label texts."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting, _BUDGET, tile(setting))
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[setting.precision],
            "NUM_STREAMS": str(setting.cores),
            "INFERENCE_NUM_THREADS": setting.cores,
        }
        core = _openvino().Core()
        self._graph = core.compile_model(str(_path(setting)), "CPU", settings)
        self._queue = _openvino().AsyncInferQueue(self._graph, setting.cores)

    def scores(self, encoded: Sequence[Ids]) -> Floats:
        """Probabilities [texts, labels], in the order given; softmax in float32."""
        logits = np.empty((len(encoded), len(self.labels)), np.float32)

        def keep(request: Any, places: Ids) -> None:
            logits[places] = request.get_output_tensor().data

        self._queue.set_callback(keep)
        for places, ids, mask in self.microbatches(encoded):
            self._queue.start_async(_inputs(ids, mask), places)
        self._queue.wait_all()
        grown = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(grown / grown.sum(axis=1, keepdims=True), np.float32)


def main() -> None:
    """Label everything and tell; or convert."""
    setting = Setting.from_argv()
    if preparing():
        _convert(setting)
    else:
        loop = OpenVINOLoop(setting)
        whole.label(setting, loop, loop.scores)


def _convert(setting: Setting) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(setting.model).eval()
    example = _inputs(np.ones((2, 8), np.int64), np.ones((2, 8), np.int64))
    tensors = {name: torch.from_numpy(values) for name, values in example.items()}
    model.config.return_dict = False
    graph = _openvino().convert_model(model, example_input=tensors)
    if setting.int8:
        graph = _quantized(graph, setting)
    _path(setting).parent.mkdir(parents=True, exist_ok=True)
    _openvino().save_model(graph, _path(setting), compress_to_fp16=False)


def _quantized(graph: Any, setting: Setting) -> Any:
    import nncf
    import pyarrow.parquet as pq

    texts = [text for path in setting.shard_paths() for text in pq.read_table(path)["text"]]
    step = max(1, len(texts) // _CALIBRATION)
    loop = Loop(setting, budget=1)  # one row a microbatch
    encoded = loop.encode([text.as_py() for text in texts[::step][:_CALIBRATION]])
    samples = [_inputs(ids, mask) for _, ids, mask in loop.microbatches(encoded)]
    return nncf.quantize(
        graph,
        nncf.Dataset(samples),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(samples),
    )


def _inputs(ids: Ids, mask: Ids) -> dict[str, Ids]:
    return {"input_ids": ids, "attention_mask": mask}


def _path(setting: Setting) -> Path:
    return Path(setting.prepared) / "graph.xml"


def _openvino() -> Any:
    """The package, without its telemetry."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


if __name__ == "__main__":
    main()
