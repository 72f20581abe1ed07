"""PyTorchLoop: the hand-written loop around PyTorch; bf16 where the CPU computes in it."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import logging

from benchmarks.contenders.loop import Floats, Ids, Loop, tile
from benchmarks.setting import Setting

# Tokens a thread, padding included. Of 512 to 8192, 1024 was the fastest: beyond 2048 activations
# leave the cache.
_BUDGET = 1024


class PyTorchLoop(Loop):
    """A model and a tokenizer, ready to label texts."""

    def __init__(self, setting: Setting, threads: int) -> None:
        super().__init__(setting, _BUDGET * threads, tile(setting))
        torch.set_num_threads(threads)
        self._model = _model(setting)

    @torch.inference_mode()
    def scores(self, encoded: Sequence[Ids]) -> Floats:
        """Probabilities [texts, labels], in the order given; softmax in float32."""
        scores = np.empty((len(encoded), len(self.labels)), np.float32)
        for places, ids, mask in self.microbatches(encoded):
            inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
            scores[places] = self._model(**inputs).logits.float().softmax(-1).numpy()
        return scores


def _model(setting: Setting) -> PreTrainedModel:
    logging.disable_progress_bar()
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        setting.model, dtype=getattr(torch, setting.precision), local_files_only=True
    )
    model.eval()
    return model
