"""Models for the comparison of tasks: real shapes, random weights, small real tokenizers.

Two sizes: "small" as all-MiniLM-L6 (6 layers of 384), for CPUs, and "base" as BERT-base and its
like. What a model says is noise; how long it takes is not.
"""

from pathlib import Path
from typing import Any

import torch
import transformers
from tests.support import audio_models, image_models, models

_ENCODER: dict[str, dict[str, Any]] = {
    "small": {
        "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
        "intermediate_size": 1536,
    },
    "base": {},
}  # fmt: skip
_T5: dict[str, dict[str, Any]] = {
    "small": {"d_model": 256, "d_ff": 1024, "num_layers": 4, "num_heads": 8, "d_kv": 32},
    "base": {},  # t5-small: 6 layers of 512
}
_LLAMA: dict[str, dict[str, Any]] = {
    "small": {
        "hidden_size": 288, "num_hidden_layers": 6, "num_attention_heads": 6,
        "num_key_value_heads": 6, "intermediate_size": 768,
    },
    "base": {
        "hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9,
        "num_key_value_heads": 3, "intermediate_size": 1536,
    },
}  # fmt: skip
_WHISPER: dict[str, dict[str, Any]] = {
    size: {
        "d_model": width, "encoder_layers": layers, "decoder_layers": layers,
        "encoder_attention_heads": width // 64, "decoder_attention_heads": width // 64,
        "encoder_ffn_dim": 4 * width, "decoder_ffn_dim": 4 * width, "max_target_positions": 448,
    }
    for size, width, layers in (("small", 384, 4), ("base", 512, 6))
}  # fmt: skip
_POSITIONS = 512
LABELS = [f"label {number}" for number in range(9)]
TAGS = ["O", *(f"{mark}-{kind}" for kind in ("PER", "LOC", "ORG", "MISC") for mark in "BI")]


def encoder(folder: Path, auto_class: str, size: str, names: list[str] = LABELS) -> str:
    """A BERT with a head."""
    config = transformers.BertConfig(**_ENCODER[size])
    _name(config, names)
    return _save(folder, auto_class, config, models.processor_of("bert"))


def entailment(folder: Path, size: str) -> str:
    """A BERT that was made for NLI, as far as its labels tell."""
    names = ["contradiction", "neutral", "entailment"]
    return encoder(folder, "AutoModelForSequenceClassification", size, names)


def t5(folder: Path, size: str) -> str:
    """An encoder-decoder that writes."""
    tokenizer = models.processor_of("xlm-roberta")
    settings = _T5[size] | {
        "vocab_size": 32_128,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "decoder_start_token_id": tokenizer.pad_token_id,
    }
    config = transformers.T5Config(**settings)
    return _save(folder, "AutoModelForSeq2SeqLM", config, tokenizer)


def llama(folder: Path, size: str) -> str:
    """A decoder that writes; "base" has the shape of SmolLM-135M."""
    tokenizer = models.processor_of("llama")
    config = transformers.LlamaConfig(
        **_LLAMA[size],
        vocab_size=49_152,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
    return _save(folder, "AutoModelForCausalLM", config, tokenizer)


def vit(folder: Path, size: str) -> str:
    """A classifier of pictures of 224 x 224 pixels."""
    config = transformers.ViTConfig(**_ENCODER[size])
    _name(config, LABELS)
    return _save(
        folder, "AutoModelForImageClassification", config, transformers.ViTImageProcessorPil()
    )


def clip(folder: Path, size: str) -> str:
    """Two towers, as tiny as the tests have them: what counts here is the pictures' way."""
    del size
    return image_models.tiny_two_towers(folder, "clip")


def wav2vec2(folder: Path, auto_class: str, size: str) -> str:
    """A classifier of sound, or a CTC model, that takes an attention mask."""
    extractor = audio_models._extractor("wav2vec2-layer")  # noqa: SLF001
    config = transformers.Wav2Vec2Config(
        **_ENCODER[size], feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True
    )
    _name(config, LABELS)
    return _save(folder, auto_class, config, extractor)


def whisper(folder: Path, size: str) -> str:
    """A Whisper of windows of 30 seconds, as tiny and as base; it never says that it is done."""
    audio_models.tiny_whisper(folder, times=False)
    config = transformers.AutoConfig.from_pretrained(folder)
    config.update(_WHISPER[size] | {"num_mel_bins": 80, "max_source_positions": 1500})
    torch.manual_seed(0)
    model = transformers.AutoModelForSpeechSeq2Seq.from_config(config)
    model.generation_config = transformers.GenerationConfig.from_pretrained(folder)
    model.save_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = "<|endoftext|>"  # the pipeline makes no batches without
    extractor = transformers.WhisperFeatureExtractor()
    transformers.WhisperProcessor(extractor, tokenizer).save_pretrained(folder)
    return str(folder)


def _name(config: Any, names: list[str]) -> None:
    config.id2label = dict(enumerate(names))
    config.label2id = {name: number for number, name in enumerate(names)}


def _save(folder: Path, auto_class: str, config: Any, processor: Any) -> str:
    torch.manual_seed(0)
    getattr(transformers, auto_class).from_config(config).save_pretrained(folder)
    if hasattr(processor, "model_max_length"):
        processor.model_max_length = _POSITIONS
    processor.save_pretrained(folder)
    return str(folder)
