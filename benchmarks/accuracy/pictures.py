"""Pictures: CIFAR-10 -> `train.parquet` and `test.parquet` (image, label), and a model to train.

The model is a small RegNet with random weights, whose first stage keeps the resolution of the stem:
the pictures have 32 pixels a side.
"""

from pathlib import Path

import pyarrow.parquet as pq
import torch
import transformers

MODEL = "random-regnet"
_SIDE, _LABELS, _SEED = 32, 10, 1


def cifar10(data: Path, work: Path) -> None:
    """A subset of 20,000 training pictures, and 1,000 of the test pictures."""
    for source, target in (("train_20k", "train"), ("test_1k", "test")):
        rows = pq.read_table(data / "cifar10" / f"{source}.parquet", columns=["image", "label"])
        pq.write_table(rows, work / f"{target}.parquet")
    torch.manual_seed(_SEED)
    transformers.RegNetForImageClassification(_config()).save_pretrained(work / MODEL)
    size = {"height": _SIDE, "width": _SIDE}
    transformers.ViTImageProcessor(size=size).save_pretrained(work / MODEL)


def _config() -> transformers.RegNetConfig:
    return transformers.RegNetConfig(
        embedding_size=32,
        hidden_sizes=[64, 128, 256],
        depths=[1, 1, 1],
        groups_width=64,
        layer_type="x",
        downsample_in_first_stage=False,
        num_labels=_LABELS,  # type: ignore[call-arg]  # of every config
    )
