"""Rust tokenizers as publishers put them together, and texts that are hard to cut."""

from typing import Any

import tokenizers
from hypothesis import strategies as st
from tokenizers import Regex, normalizers, pre_tokenizers

from tests.support.models import processor_of

QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA = QWEN.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)
_SQUEEZED = normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " ")
_BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def backend(kind: str) -> Any:
    """The Rust tokenizer of a tiny model, a copy of its own."""
    return tokenizers.Tokenizer.from_str(processor_of(kind).backend_tokenizer.to_str())


def split_by(pattern: str) -> Any:
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), _BYTES])


# What publishers of tokenizers put together: model, normalizer, pre-tokenizer; None: as it is.
KINDS: dict[str, tuple[str, Any, Any]] = {
    "bert": ("bert", None, None),
    "bert, cased": ("bert", normalizers.BertNormalizer(lowercase=False), None),
    "gpt2": ("gpt2", None, None),
    "roberta": ("roberta", None, pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "modernbert": ("roberta", normalizers.NFC(), None),
    "starcoder": (
        "gpt2",
        None,
        pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel()]
        ),
    ),
    "qwen": ("roberta", normalizers.NFC(), split_by(QWEN)),
    "llama": ("roberta", None, split_by(LLAMA)),
    "xlm-roberta": (
        "xlm-roberta",
        normalizers.NFKC(),
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]),
    ),
    "deberta": (
        "xlm-roberta",
        normalizers.Sequence([_SQUEEZED, normalizers.NFC(), normalizers.Strip(left=False)]),
        pre_tokenizers.Sequence(
            [pre_tokenizers.Punctuation("isolated"), pre_tokenizers.Metaspace()]
        ),
    ),
    "albert": (
        "xlm-roberta",
        normalizers.Sequence(
            [
                normalizers.Replace("``", '"'),
                normalizers.NFKD(),
                normalizers.StripAccents(),
                normalizers.Lowercase(),
                normalizers.Replace(Regex(" {2,}"), " "),
            ]
        ),
        pre_tokenizers.Metaspace(prepend_scheme="first"),
    ),
}
UNSAFE: dict[str, tuple[str, Any, Any]] = {
    "metaspace in one piece": ("xlm-roberta", None, pre_tokenizers.Metaspace(split=False)),
    "no pre-tokenizer": ("xlm-roberta", None, pre_tokenizers.Sequence([])),
    "bytes in one piece": ("gpt2", None, _BYTES),
    "a pattern that nobody knows": ("gpt2", None, split_by(r"\w+ \w+")),
    "a pattern inverted": (
        "gpt2",
        None,
        pre_tokenizers.Split(Regex(QWEN), "isolated", invert=True),
    ),
    "bytes before words": (
        "gpt2",
        None,
        pre_tokenizers.Sequence([_BYTES, pre_tokenizers.WhitespaceSplit()]),
    ),
    "an unknown normalizer": ("bert", normalizers.Replace(Regex("e e"), "x"), None),
    "spaces replaced": ("bert", normalizers.Replace(" ", "_"), None),
    "prepended": ("bert", normalizers.Prepend("_"), None),
}


def made(kind: tuple[str, Any, Any]) -> Any:
    name, normalizer, pre_tokenizer = kind
    found = backend(name)
    if normalizer is not None:
        found.normalizer = normalizer
    if pre_tokenizer is not None:
        found.pre_tokenizer = pre_tokenizer
    return found


def ids(found: Any, text: str) -> list[int]:
    wanted: list[int] = found.encode(text, add_special_tokens=False).ids
    return wanted


# Whitespace of all kinds, what joins with it or its neighbours, scripts without spaces, controls,
# special tokens, and what patterns look at.
_PIECES = st.sampled_from(
    [
        *"aZ09.,'\"-_(`", "the", "quick", " ", " ", " ", "  ", "   ", "\n", "\r\n", "\t", "\v",
        "\f",
        "\u00a0", "\u1680", "\u2003", "\u2028", "\u3000", "\u180e", "\u200b", "\u200d", "\ufeff",
        "\u0085", "\0", "\x1c", "\x7f", "\u0301", "\u0338", "\u0345", "\u3099", "\u0600", "\u0d4e",
        "\ufe70", "\u037a", "\u00b4", "\ufdfa", "\u2026", "\u0130", "\u03a3", "\u4f60", "\u597d",
        "\u3002", "\uff0c", "\u4f60\u597d\u3002", "a/b", "c,d", "x=", "'d.",
        "\u0e33", "\uac00", "\u11a8", "\U0001f468", "\U0001f3fd", "\u2581",
        "'s", "'LL", "``", "[SEP]", "[MASK]", "<mask>", "<s>", "</s>", "\\n", "1234", "caf\u00e9",
    ]
)  # fmt: skip
TEXTS = st.builds(
    lambda pieces, times: "".join(pieces) * times,
    st.lists(_PIECES | st.text(max_size=3), min_size=1, max_size=40),
    st.integers(1, 60),
)
