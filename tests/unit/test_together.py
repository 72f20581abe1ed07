"""Sequences that a model may not be given at once: what it gives is what each gets alone."""

import numpy as np
import pytest
import torch
import transformers

from labelmill.batch import Microbatch, Ragged
from labelmill.checkpoints import Checkpoint
from labelmill.engines.pytorch.engine import PyTorchEngine
from labelmill.readouts import Logits, TokenLogits
from tests.support.models import enlarge
from tests.support.writing_models import STACKS

NOWHERE = Checkpoint(source="tiny", path="", revision=None, digest="")
END, PADDING = 2, 1
IDS = [[5, 9, END], [7, 8, 11, 30, END, 12, END], [6, END], [9, 8, 7, 6, 5, 4, END], [14, 3, END]]
_SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
CONFIGS = {
    "xlnet": ("XLNetConfig", {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48}),
    "fnet": ("FNetConfig", _SMALL),
    "nystromformer": ("NystromformerConfig", _SMALL),
    "yoso": ("YosoConfig", _SMALL | {"use_expectation": True}),
    "bart": ("BartConfig", STACKS),
}  # fmt: skip


def engine_of(architecture, auto_class, readout):
    name, settings = CONFIGS[architecture]
    config = getattr(transformers, name)(
        vocab_size=40, pad_token_id=PADDING, eos_token_id=END, bos_token_id=0, num_labels=3,
        **settings,
    )  # fmt: skip
    torch.manual_seed(0)
    module = getattr(transformers, auto_class).from_config(config).eval()
    enlarge(module)
    return PyTorchEngine(module, readout, NOWHERE, precision="float32", device="cpu")


def microbatch(rows):
    lengths = np.array([len(ids) for ids in rows], np.int64)
    ids = np.full((len(rows), lengths.max()), PADDING, np.int64)
    for row, one in zip(ids, rows, strict=True):
        row[: len(one)] = one
    mask = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
    inputs = {"input_ids": ids, "attention_mask": mask}
    return Microbatch(sequences=np.arange(len(rows)), lengths=lengths, inputs=inputs)


def logits_of(engine, rows):
    """Of each row; [labels], or [tokens, labels]."""
    found = engine.forward(microbatch(rows))["logits"]
    if isinstance(found, Ragged):
        return np.split(found.values, np.cumsum(found.lengths)[:-1])
    return list(found)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_labels_of_sequences_together_are_those_of_each_alone(architecture):
    engine = engine_of(architecture, "AutoModelForSequenceClassification", Logits())
    alone = [logits_of(engine, [row])[0] for row in IDS]
    np.testing.assert_allclose(logits_of(engine, IDS), alone, atol=1e-5)
    assert np.ptp(alone, axis=0).max() > 0.1


@pytest.mark.parametrize("architecture", ["xlnet", "fnet"])
def test_labels_of_tokens_together_are_those_of_each_alone(architecture):
    engine = engine_of(architecture, "AutoModelForTokenClassification", TokenLogits())
    for row, found in zip(IDS, logits_of(engine, IDS), strict=True):
        (alone,) = logits_of(engine, [row])
        np.testing.assert_allclose(found, alone, atol=1e-5)
