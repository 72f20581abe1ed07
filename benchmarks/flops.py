"""Floating-point operations of an encoder's matrix products, without those of padding."""

from pathlib import Path

import numpy as np
import numpy.typing as npt


def of_encoder(layers: int, width: int, inner: int, lengths: npt.NDArray[np.int32]) -> float:
    """Of sequences of these lengths.

    A layer multiplies each token with 4 matrices of width x width and 2 of width x inner, and
    attention takes 2 products of length x width x length; each is a multiplication and an addition.
    """
    linear = 2 * (4 * width**2 + 2 * width * inner)
    tokens = lengths.astype(np.float64)
    return float(layers * (linear * tokens + 4 * width * tokens**2).sum())


def of_checkpoint(model: Path, lengths: npt.NDArray[np.int32]) -> float | None:
    """Of a text encoder in a directory; None where its config does not name its sizes."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(model, local_files_only=True)
    names = ("num_hidden_layers", "hidden_size", "intermediate_size")
    sizes = [getattr(config, name, None) for name in names]
    if not all(isinstance(size, int) for size in sizes):
        return None
    layers, width, inner = (int(size or 0) for size in sizes)
    return of_encoder(layers, width, inner, lengths)
