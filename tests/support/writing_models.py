"""Tiny checkpoints of models that write, each with a tokenizer of its family.

Their vocabularies are trained on a few sentences in a moment. Weights are large, so that texts
differ and some end before they must.
"""

import json
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import transformers

from tests.support.models import CORPUS, _fast

POSITIONS = 64
TRANSLATE = "translate English to German: "
_ENDING = 2.5  # times as large a score of the end has, so that some texts end early
SENTENCES = [
    *CORPUS,
    "The cat sat on the mat. It was a warm day, and nobody spoke.",
    "Der Hund lief durch den Garten! Und dann? Nichts.",
    "Le chat dort; il pleut sur la ville.",
    "summarize: translate English to German: 0123456789 abcdefghijklmnopqrstuvwxyz",
]
STACKS = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": POSITIONS,
}
_SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": POSITIONS,
}
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('no such role: ' + message['role']) }}{% endif %}"
    "{{ 1 / 0 if message['content'] == 'divide' }}"
    "{{ '<s>' + message['role'] + ': ' + message['content'] + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<s>assistant: ' }}{% endif %}"
)
DECODERS: dict[str, tuple[str, dict[str, Any], str]] = {
    "gpt2": (
        "GPT2Config",
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": POSITIONS},
        "plain",
    ),
    "llama": ("LlamaConfig", {**_SMALL, "num_key_value_heads": 2}, "bpe"),
    "qwen2": ("Qwen2Config", {**_SMALL, "num_key_value_heads": 2}, "plain"),
    "qwen3": ("Qwen3Config", {**_SMALL, "num_key_value_heads": 2, "head_dim": 8}, "plain"),
    "mistral": ("MistralConfig", {**_SMALL, "num_key_value_heads": 2, "sliding_window": 8}, "bpe"),
}
ENCODER_DECODERS = ("t5", "bart", "pegasus", "marian", "marian-many", "m2m100", "nllb", "mbart")
# Of models with languages: one to translate from, one to translate into.
LANGUAGES = {
    "t5": ("en", "de"),
    "marian-many": (None, "deu"),
    "m2m100": ("de", "fr"),
    "nllb": ("deu_Latn", "fra_Latn"),
    "mbart": ("de_DE", "fr_XX"),
}


def tiny_decoder(directory: Path, architecture: str = "llama", seed: int = 0) -> str:
    """A checkpoint for text-generation in `directory`, with a chat template; its path."""
    name, changes, kind = DECODERS[architecture]
    tokenizer = _fast(kind)
    tokenizer.chat_template = CHAT_TEMPLATE
    config = getattr(transformers, name)(
        vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=2, pad_token_id=1, **changes
    )
    return _saved(directory, "AutoModelForCausalLM", config, tokenizer, seed)


def tiny_encoder_decoder(directory: Path, architecture: str, seed: int = 0) -> str:
    """A checkpoint for summarization and translation in `directory`; its path."""
    tokenizer = _TOKENIZERS[architecture](directory)
    vocabulary = max(len(tokenizer), max(tokenizer.get_vocab().values()) + 1)
    beyond = len(getattr(tokenizer, "lang_token_to_id", ())) + 8  # languages of M2M100
    config = _config(architecture, tokenizer, vocabulary + (beyond if beyond > 8 else 0))
    return _saved(directory, "AutoModelForSeq2SeqLM", config, tokenizer, seed)


def calm(start: str) -> str:
    """The same with weights as drawn: large ones make of a rounding error whatever they like."""
    torch.manual_seed(1)
    config = transformers.AutoConfig.from_pretrained(start)
    transformers.AutoModelForSeq2SeqLM.from_config(config).save_pretrained(start)
    return start


def _config(architecture: str, tokenizer: Any, vocab_size: int) -> Any:
    ids = {
        "vocab_size": vocab_size,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    stacks = {**ids, **STACKS}
    if architecture == "t5":
        return transformers.T5Config(
            **ids, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4,
            decoder_start_token_id=tokenizer.pad_token_id,
            task_specific_params={
                "summarization": {"prefix": "summarize: ", "max_length": 21, "num_beams": 1},
                "translation_en_to_de": {"prefix": TRANSLATE, "max_length": 13},
            },
        )  # fmt: skip
    if architecture == "bart":
        return transformers.BartConfig(
            **stacks, bos_token_id=0, decoder_start_token_id=2, forced_bos_token_id=0
        )
    if architecture == "pegasus":
        return transformers.PegasusConfig(**stacks, decoder_start_token_id=tokenizer.pad_token_id)
    if architecture.startswith("marian"):
        return transformers.MarianConfig(**stacks, decoder_start_token_id=tokenizer.pad_token_id)
    if architecture == "mbart":
        return transformers.MBartConfig(**stacks, bos_token_id=0)
    return transformers.M2M100Config(**stacks, bos_token_id=0, decoder_start_token_id=2)


def _saved(directory: Path, auto_class: str, config: Any, tokenizer: Any, seed: int) -> str:
    torch.manual_seed(seed)
    model = getattr(transformers, auto_class).from_config(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "position" not in name:
                parameter.mul_(0.5 / parameter.std())
                if "encoder_attn" in name or "EncDecAttention" in name:
                    parameter.mul_(3)
        ending = 1.2 if config.is_encoder_decoder else _ENDING
        model.get_output_embeddings().weight[config.eos_token_id] *= ending
    tokenizer.save_pretrained(directory)
    model.save_pretrained(directory)
    return str(directory)


def _pieces(directory: Path, name: str = "spiece", **how: Any) -> str:
    """A sentencepiece model of the sentences; its path."""
    corpus = directory / f"{name}.txt"
    corpus.write_text("\n".join(SENTENCES), "utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(directory / name),
        **{"vocab_size": 150, "hard_vocab_limit": False, "minloglevel": 2, **how},
    )
    corpus.unlink()
    (directory / f"{name}.vocab").unlink()
    return str(directory / f"{name}.model")


def _listed(path: str) -> list[str]:
    model = sentencepiece.SentencePieceProcessor(model_file=path)
    return [model.id_to_piece(number) for number in range(len(model))]


def _unigram(directory: Path) -> list[tuple[str, float]]:
    model = sentencepiece.SentencePieceProcessor(model_file=_pieces(directory, "scratch"))
    (directory / "scratch.model").unlink()
    skipped = {"<unk>", "<s>", "</s>"}
    pieces = [(model.id_to_piece(number), model.get_score(number)) for number in range(len(model))]
    return [(piece, score) for piece, score in pieces if piece not in skipped]


def _t5(directory: Path) -> Any:
    specials = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -2.0)]
    return transformers.T5Tokenizer(
        vocab=[*specials, *_unigram(directory)], extra_ids=0, model_max_length=48
    )


def _bart(directory: Path) -> Any:
    del directory
    return _fast("bpe", model_max_length=POSITIONS)


def _pegasus(directory: Path) -> Any:
    specials = [("<pad>", 0.0), ("</s>", 0.0), ("<mask_1>", 0.0), ("<mask_2>", 0.0)]
    specials += [("<unk>", 0.0)]
    return transformers.PegasusTokenizer(
        vocab=[*specials, *_unigram(directory)],
        offset=0,
        mask_token="<mask_2>",
        mask_token_sent="<mask_1>",
        extra_special_tokens=[],
        model_max_length=POSITIONS,
    )


def _marian(directory: Path, codes: tuple[str, ...] = ()) -> Any:
    source, target = _pieces(directory, "source"), _pieces(directory, "target")
    Path(source).rename(directory / "source.spm")
    Path(target).rename(directory / "target.spm")
    pieces = [
        piece
        for piece in _listed(str(directory / "source.spm"))
        if piece not in ("<s>", "</s>", "<unk>")
    ]
    names = ["</s>", "<unk>", *codes, *pieces, "<pad>"]
    vocabulary = directory / "vocab.json"
    vocabulary.write_text(json.dumps({name: number for number, name in enumerate(names)}))
    return transformers.MarianTokenizer(
        source_spm=str(directory / "source.spm"),
        target_spm=str(directory / "target.spm"),
        vocab=str(vocabulary),
        source_lang="en",
        target_lang="de",
        model_max_length=POSITIONS,
    )


def _marian_many(directory: Path) -> Any:
    return _marian(directory, (">>deu<<", ">>fra<<"))


def _m2m100(directory: Path) -> Any:
    path = Path(_pieces(directory)).rename(directory / "sentencepiece.bpe.model")
    skipped = {"<unk>", "<s>", "</s>"}
    names = ["<s>", "<pad>", "</s>", "<unk>", *(p for p in _listed(str(path)) if p not in skipped)]
    vocabulary = directory / "vocab.json"
    vocabulary.write_text(json.dumps({name: number for number, name in enumerate(names)}))
    return transformers.M2M100Tokenizer(
        vocab_file=str(vocabulary), spm_file=str(path), model_max_length=POSITIONS
    )


def _characters() -> list[str]:
    return ["\u2581", *sorted(set("".join(SENTENCES)) - {" "})]


def _nllb(directory: Path) -> Any:
    del directory
    names = ["<s>", "<pad>", "</s>", "<unk>", *_characters()]
    return transformers.NllbTokenizer(
        vocab={name: number for number, name in enumerate(names)}, model_max_length=POSITIONS
    )


def _mbart(directory: Path) -> Any:
    specials = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    return transformers.MBartTokenizer(
        vocab=[*specials, *_unigram(directory)], model_max_length=POSITIONS
    )


_TOKENIZERS = {
    "t5": _t5,
    "bart": _bart,
    "pegasus": _pegasus,
    "marian": _marian,
    "marian-many": _marian_many,
    "m2m100": _m2m100,
    "nllb": _nllb,
    "mbart": _mbart,
}
