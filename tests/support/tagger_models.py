"""Tiny checkpoints for token-classification."""

from pathlib import Path

import torch
import transformers

from tests.support.models import processor_of, save_tiny

BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
IOB1 = ("I-LOC", "I-PER", "B-PER", "O")
BIOES = ("O", *(f"{prefix}-{kind}" for kind in ("PER", "LOC") for prefix in "BIES"))
PLAIN = ("NOUN", "VERB", "PUNCT", "X")

HEAD = "AutoModelForTokenClassification"


def tiny_tagger(
    directory: Path, architecture: str = "bert", labels: tuple[str, ...] = BIO, seed: int = 0
) -> str:
    """A checkpoint in `directory`; its path."""
    return save_tiny(directory, architecture, HEAD, seed=seed, **_named(labels))


def blind_tagger(directory: Path, architecture: str = "bert", positions: int = 2048) -> str:
    """One that judges each token by itself, so that windows cannot change a label; its path."""
    tokenizer = processor_of(architecture)
    tokenizer.model_max_length = positions
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=positions,
        pad_token_id=tokenizer.pad_token_id,
        hidden_size=32,
        num_hidden_layers=0,
        num_attention_heads=4,
        **_named(BIO),
    )
    torch.manual_seed(0)
    model = transformers.BertForTokenClassification(config)
    with torch.no_grad():
        model.bert.embeddings.position_embeddings.weight.zero_()
        model.classifier.weight.mul_(20)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return str(directory)


def _named(labels: tuple[str, ...]) -> dict[str, dict[int, str] | dict[str, int]]:
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: number for number, label in enumerate(labels)},
    }
