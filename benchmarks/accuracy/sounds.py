"""Sounds: spoken digits -> `train.parquet` and `test.parquet` (audio, label), and a model to train.

The model has the shape of AST, the transformer over pieces of a spectrogram, small, with random
weights; it sees a second of sound.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import transformers

from benchmarks.accuracy.files import held_out, write

MODEL = "random-ast"
_RATE, _FRAMES, _BANDS = 8000, 96, 64  # samples a second, frames of 10 ms, of the mel scale
_LABELS, _SEED = 10, 1


def fsdd(data: Path, work: Path) -> None:
    """900 recordings of six people; a fifth is held out, of all of them."""
    table = pq.read_table(data / "fsdd" / "train_900.parquet", columns=["path", "audio", "label"])
    labels = table["label"].cast(pa.string())
    rows = table.set_column(table.column_names.index("label"), "label", labels).to_pylist()
    for name, part in zip(("train", "test"), held_out(rows, "path", 0.2), strict=True):
        write(work / f"{name}.parquet", part)
    torch.manual_seed(_SEED)
    transformers.ASTForAudioClassification(_config()).save_pretrained(work / MODEL)
    transformers.ASTFeatureExtractor(
        sampling_rate=_RATE, num_mel_bins=_BANDS, max_length=_FRAMES
    ).save_pretrained(work / MODEL)


def _config() -> transformers.ASTConfig:
    return transformers.ASTConfig(
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=512,
        patch_size=16,
        frequency_stride=16,
        time_stride=8,
        max_length=_FRAMES,
        num_mel_bins=_BANDS,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        num_labels=_LABELS,  # type: ignore[call-arg]  # of every config
    )
