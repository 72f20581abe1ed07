"""Tiny models that hear, with real feature extractors and tokenizers; sounds as files are."""

import functools
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import torch
import transformers
from tokenizers import pre_tokenizers

RATE = 16_000
_SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
# Seven convolutions with the kernels and strides of the real ones: a frame for 320 samples.
_SAMPLES = {
    **_SMALL,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
_LAYER = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
_SEW = {
    **_SMALL,
    "conv_dim": (16,) * 13,
    "num_conv_pos_embeddings": 15,
    "num_conv_pos_embedding_groups": 4,
}

# Config class and its settings.
HEARERS: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2-group": ("Wav2Vec2Config", _SAMPLES),
    "wav2vec2-layer": ("Wav2Vec2Config", {**_SAMPLES, **_LAYER}),
    "wav2vec2-adapter": ("Wav2Vec2Config", {**_SAMPLES, **_LAYER, "add_adapter": True}),
    "hubert-group": ("HubertConfig", _SAMPLES),
    "hubert-layer": ("HubertConfig", {**_SAMPLES, **_LAYER}),
    "wavlm": ("WavLMConfig", {**_SAMPLES, **_LAYER}),
    "unispeech": ("UniSpeechConfig", {**_SAMPLES, **_LAYER}),
    "unispeech-sat": ("UniSpeechSatConfig", {**_SAMPLES, **_LAYER}),
    "wav2vec2-conformer": ("Wav2Vec2ConformerConfig", {**_SAMPLES, **_LAYER}),
    "data2vec-audio": (
        "Data2VecAudioConfig",
        {**_SAMPLES, "conv_pos_kernel_size": 7, "num_conv_pos_embeddings": 2},
    ),
    "sew": ("SEWConfig", _SEW),
}
_WHISPER_SECONDS = 2
_WHISPER = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "num_mel_bins": 16,
    "max_source_positions": _WHISPER_SECONDS * 50,
    "max_target_positions": 40,
}
LANGUAGES = ("en", "de", "fr")


def tone(seconds: float, seed: int = 0, rate: int = RATE) -> npt.NDArray[np.float32]:
    """Some notes with noise, another for each seed."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitches = random.uniform(100, 3000, 1 + int(seconds * 4))
    pitch = pitches[np.minimum((time * 4).astype(int), len(pitches) - 1)]
    noise = 0.02 * random.standard_normal(len(time))
    return (0.4 * np.sin(2 * np.pi * np.cumsum(pitch) / rate) + noise).astype(np.float32)


def file(
    samples: npt.NDArray[np.float32],
    format: str = "WAV",  # noqa: A002 - soundfile's own name
    subtype: str | None = None,
    rate: int = RATE,
) -> bytes:
    """The bytes of a sound file; float WAV keeps every bit."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=format, subtype=subtype or _subtype(format))
    return buffer.getvalue()


def _subtype(name: str) -> str | None:
    return {"WAV": "FLOAT"}.get(name, soundfile.default_subtype(name))


def tiny_audio_classifier(directory: Path, architecture: str, **settings: Any) -> str:
    """A checkpoint for audio-classification in `directory`; its path."""
    names = {number: f"sound {chr(97 + number)}" for number in range(settings.pop("labels", 3))}
    settings |= {"id2label": names, "label2id": {name: number for number, name in names.items()}}
    if architecture == "ast":
        small = {**_SMALL, "max_length": 100, "num_mel_bins": 32}
        config: Any = transformers.ASTConfig(**small, **settings)
        extractor: Any = transformers.ASTFeatureExtractor(max_length=100, num_mel_bins=32)
    elif architecture == "whisper":
        config = transformers.WhisperConfig(**_WHISPER, **settings)
        extractor = _spectrogram()
    else:
        name, changes = HEARERS[architecture]
        small = {"classifier_proj_size": 16} if "Data2Vec" not in name else {}
        config = getattr(transformers, name)(**changes, **small, **settings)
        extractor = _extractor(architecture)
    model = _made(transformers.AutoModelForAudioClassification, config)
    model.save_pretrained(directory)
    extractor.save_pretrained(directory)
    return str(directory)


def tiny_ctc(directory: Path, architecture: str = "wav2vec2-layer", **tokenizer: Any) -> str:
    """A CTC checkpoint in `directory`; its path."""
    directory.mkdir(exist_ok=True)
    name, changes = HEARERS[architecture]
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJKL'", "\u00c9"]
    (directory / "vocab.json").write_text(
        json.dumps({one: number for number, one in enumerate(letters)})
    )
    spelling = transformers.Wav2Vec2CTCTokenizer(str(directory / "vocab.json"), **tokenizer)
    config = getattr(transformers, name)(**changes, vocab_size=len(spelling), pad_token_id=0)
    model = _made(transformers.AutoModelForCTC, config)
    model.save_pretrained(directory)
    transformers.Wav2Vec2Processor(_extractor(architecture), spelling).save_pretrained(directory)
    return str(directory)


def tiny_whisper(directory: Path, *, multilingual: bool = True, times: bool = True) -> str:
    """A Whisper checkpoint that hears two seconds at once, in `directory`; its path.

    A random model names times when it should not, too; without `times` it never does.
    """
    tokenizer = _whisper_tokenizer()
    ids = tokenizer.convert_tokens_to_ids
    end, start = ids("<|endoftext|>"), ids("<|startoftranscript|>")
    special = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end}
    config = transformers.WhisperConfig(
        **_WHISPER, **special, vocab_size=len(tokenizer), decoder_start_token_id=start
    )
    model = _made(transformers.AutoModelForSpeechSeq2Seq, config)
    quiet = [ids(f"<|{one}|>") for one in LANGUAGES]
    quiet += [ids(f"<|{one}|>") for one in ("transcribe", "translate", "startoftranscript")]
    if not times:
        quiet += range(ids("<|notimestamps|>"), len(tokenizer))
    languages = {
        "is_multilingual": True,
        "lang_to_id": {f"<|{one}|>": ids(f"<|{one}|>") for one in LANGUAGES},
        "task_to_id": {one: ids(f"<|{one}|>") for one in ("transcribe", "translate")},
    }
    model.generation_config = transformers.GenerationConfig(
        **special,
        decoder_start_token_id=start,
        no_timestamps_token_id=ids("<|notimestamps|>"),
        max_initial_timestamp_index=50,
        max_length=None,
        suppress_tokens=quiet,
        begin_suppress_tokens=[end],
        **(languages if multilingual else {"is_multilingual": False}),
    )
    model.save_pretrained(directory)
    transformers.WhisperProcessor(_spectrogram(), tokenizer).save_pretrained(directory)
    return str(directory)


def _extractor(architecture: str) -> Any:
    masked = HEARERS[architecture][1].get("feat_extract_norm") == "layer"
    return transformers.Wav2Vec2FeatureExtractor(
        do_normalize=True, return_attention_mask=masked, sampling_rate=RATE
    )


def _spectrogram() -> Any:
    return transformers.WhisperFeatureExtractor(feature_size=16, chunk_length=_WHISPER_SECONDS)


@functools.lru_cache
def _whisper_tokenizer() -> Any:
    """Bytes, some words, then the special tokens and times in the order of the real ones."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("\u0120", "t"), ("h", "e"), ("\u0120t", "he")]
    vocabulary = {
        one: number for number, one in enumerate([*letters, *("".join(pair) for pair in merges)])
    }
    vocabulary["<|endoftext|>"] = len(vocabulary)
    tokenizer = transformers.WhisperTokenizer(vocab=vocabulary, merges=merges)
    special = ["startoftranscript", *LANGUAGES, "translate", "transcribe", "startoflm"]
    special += ["startofprev", "nospeech", "notimestamps"]
    tokenizer.add_special_tokens({"additional_special_tokens": [f"<|{one}|>" for one in special]})
    tokenizer.add_tokens([f"<|{tick * 0.02:.2f}|>" for tick in range(_WHISPER_SECONDS * 50 + 1)])
    return tokenizer


def _made(auto_class: Any, config: Any, seed: int = 0) -> Any:
    """Weights large enough that sounds differ."""
    torch.manual_seed(seed)
    model = auto_class.from_config(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embed" not in name:
                parameter.mul_(0.25 / parameter.std().clamp(min=1e-6))
    return model.eval()
