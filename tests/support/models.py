"""Tiny checkpoints: built from a config, with a real tokenizer, saved as transformers saves them.

Weights are large, so that labels differ between texts; every architecture has 64 positions for
tokens.
"""

import functools
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

POSITIONS = 64
WORDS = (
    "the quick brown fox jumps over a lazy dog and then it was not very good or bad but rather "
    "great film plot actor price service food slow fast terrible wonderful dull bright cold warm "
    "never always"
)
CORPUS = [
    WORDS,
    WORDS.upper(),
    "unbelievable, really! isn't it? 12 34 56",
    "caf\u00e9 na\u00efve \u4f60\u597d",
]

_SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}


def _wordpiece() -> Tokenizer:
    """As BERT's. The vocabulary is spelled out: its trainer differs from process to process."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = sorted(set("".join(CORPUS).lower()) - {" "})
    pieces = [*specials, *WORDS.split(), *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(specials)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return tokenizer


def _bpe() -> Tokenizer:
    """Byte level, as RoBERTa's: pairs are joined by two separators, padding has id 1."""
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=False
    )
    return tokenizer


def _unigram() -> Tokenizer:
    """Like sentencepiece: words marked by a metaspace, pairs joined by two separators."""
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    letters = sorted({"\u2581", *"".join(CORPUS)} - {" "})
    pieces = [*letters, *(f"\u2581{word}" for word in WORDS.split())]
    scored = [(piece, 0.0) for piece in specials] + [
        (piece, -float(len(letters))) for piece in pieces
    ]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=3, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(specials)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return tokenizer


@functools.lru_cache
def _trained(kind: str) -> Tokenizer:
    return {"wordpiece": _wordpiece, "bpe": _bpe, "unigram": _unigram, "plain": _plain}[kind]()


def _plain() -> Tokenizer:
    """Byte level without special tokens, as GPT-2's: an empty text has no token at all."""
    tokenizer = _bpe()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def _fast(kind: str, **changes: Any) -> transformers.PreTrainedTokenizerFast:
    if kind == "wordpiece":
        names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
        names |= {"unk_token": "[UNK]", "mask_token": "[MASK]"}
    else:
        names = {"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>"}
        names |= {
            "unk_token": "<unk>",
            "mask_token": "<mask>",
            "bos_token": "<s>",
            "eos_token": "</s>",
        }
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=_trained(kind), **{**names, **changes}
    )


_TYPES = {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}

Recipe = tuple[
    str, dict[str, Any], str, dict[str, Any]
]  # config class, its settings, tokenizer, its settings

ARCHITECTURES: dict[str, Recipe] = {
    "bert": ("BertConfig", {**_SMALL}, "wordpiece", _TYPES),
    "electra": ("ElectraConfig", {**_SMALL, "embedding_size": 16}, "wordpiece", _TYPES),
    "albert": ("AlbertConfig", {**_SMALL, "embedding_size": 16}, "wordpiece", _TYPES),
    "distilbert": (
        "DistilBertConfig",
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48},
        "wordpiece",
        {},
    ),
    "deberta-v2": (
        "DebertaV2Config",
        {
            **_SMALL,
            "relative_attention": True,
            "position_biased_input": False,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 16,
            "type_vocab_size": 2,
        },
        "wordpiece",
        _TYPES,
    ),
    "roberta": ("RobertaConfig", {**_SMALL, "type_vocab_size": 1}, "bpe", {}),
    "mpnet": ("MPNetConfig", {**_SMALL}, "bpe", {}),
    "xlm-roberta": ("XLMRobertaConfig", {**_SMALL, "type_vocab_size": 1}, "unigram", {}),
    "camembert": ("CamembertConfig", {**_SMALL, "type_vocab_size": 1}, "unigram", {}),
    "modernbert": (
        "ModernBertConfig",
        {
            **_SMALL,
            "global_attn_every_n_layers": 2,
            "local_attention": 16,
            "cls_token_id": 0,
            "bos_token_id": 0,
            "sep_token_id": 2,
            "eos_token_id": 2,
        },
        "bpe",
        {},
    ),
    "llama": ("LlamaConfig", {**_SMALL, "num_key_value_heads": 2}, "bpe", {}),
    "gpt2": (
        "GPT2Config",
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "bos_token_id": 0, "eos_token_id": 2},
        "plain",
        {},
    ),
}
_PADDED_POSITIONS = {"roberta", "mpnet", "xlm-roberta", "camembert"}


def processor_of(architecture: str) -> Any:
    """The architecture's tokenizer, without a checkpoint."""
    _, _, kind, changes = ARCHITECTURES[architecture]
    return _fast(kind, model_max_length=POSITIONS, **changes)


def tiny_classifier(
    directory: Path,
    architecture: str = "bert",
    labels: int = 3,
    problem_type: str | None = None,
    seed: int = 0,
) -> str:
    """A checkpoint for text-classification in `directory`; its path."""
    return save_tiny(
        directory,
        architecture,
        "AutoModelForSequenceClassification",
        seed=seed,
        id2label={number: f"label {chr(97 + number)}" for number in range(labels)},
        label2id={f"label {chr(97 + number)}": number for number in range(labels)},
        problem_type=problem_type,
    )


def save_tiny(
    directory: Path, architecture: str, auto_class: str, *, seed: int = 0, **settings: Any
) -> str:
    """A checkpoint of any head, with its tokenizer, in `directory`; its path."""
    config_name, changes, _, _ = ARCHITECTURES[architecture]
    tokenizer = processor_of(architecture)
    positions = POSITIONS + (tokenizer.pad_token_id + 1 if architecture in _PADDED_POSITIONS else 0)
    config = getattr(transformers, config_name)(
        vocab_size=len(tokenizer),
        max_position_embeddings=positions,
        pad_token_id=tokenizer.pad_token_id,
        **changes,
        **settings,
    )
    torch.manual_seed(seed)
    model = getattr(transformers, auto_class).from_config(config)
    enlarge(model)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return str(directory)


def enlarge(model: torch.nn.Module) -> None:
    """As initialized, every text gets nearly the same scores; words must outweigh positions."""
    words = model.get_input_embeddings().weight
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter is words or (parameter.dim() > 1 and "embed" not in name):
                parameter.mul_((0.6 if parameter is words else 0.2) / parameter.std())
