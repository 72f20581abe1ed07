"""Decoder inputs: what a decoder that learns to write is given to go on from."""

from typing import Any

import torch


def decoder_inputs(module: Any, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Inputs by name, of labels [batch, length]: each a place further on, as the model has it.

    Some models (M2M100, NLLB, FSMT) shift them only where they get "labels", and then compute a
    loss besides, which nobody asks for.
    """
    shift = getattr(module, "prepare_decoder_input_ids_from_labels", None)
    return {"labels": labels} if shift is None else {"decoder_input_ids": shift(labels=labels)}
