"""Prefixes: the first tokens of a long text, found without tokenizing the rest of it."""

import time
from typing import Any

import pytest
import tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, normalizers, pre_tokenizers

from labelmill.ops import tokens
from labelmill.ops.prefixes import Prefixes, rule
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
_TEXTS = st.builds(
    lambda pieces, times: "".join(pieces) * times,
    st.lists(_PIECES | st.text(max_size=3), min_size=1, max_size=40),
    st.integers(1, 60),
)
_CUTTABLE = "the quick " * 100


@pytest.mark.parametrize("kind", KINDS)
@given(text=_TEXTS, tokens_wanted=st.integers(1, 12))
@example(text=_CUTTABLE, tokens_wanted=3)
@settings(max_examples=60, deadline=None)
def test_prefix_of_any_text_has_its_first_tokens(kind: str, text: str, tokens_wanted: int) -> None:
    found = made(KINDS[kind])

    head = Prefixes(found, tokens_wanted).of(text)

    assert isinstance(head, str)
    assert text.startswith(head)
    if head != text:
        assert len(ids(found, head)) > tokens_wanted
        assert ids(found, text)[: len(ids(found, head))] == ids(found, head)


@pytest.mark.parametrize("kind", KINDS)
def test_prefix_of_a_long_text_is_short(kind: str) -> None:
    head = Prefixes(made(KINDS[kind]), 3).of(_CUTTABLE)

    assert len(head) < 100


@pytest.mark.parametrize("kind", UNSAFE)
def test_prefix_of_a_tokenizer_that_may_join_across_spaces_is_the_text(kind: str) -> None:
    found = made(UNSAFE[kind])

    assert rule(found) is None
    assert Prefixes(found, 3).of(_CUTTABLE) == _CUTTABLE


@pytest.mark.parametrize(
    ("added", "safe"),
    [
        (AddedToken("New York"), False),
        (AddedToken("a\nb"), False),
        (AddedToken("\u4f60", normalized=True), False),
        (AddedToken("\u4f60", normalized=False), True),
        (AddedToken("  ", normalized=False), True),
        (AddedToken("<x>", lstrip=True, rstrip=True), True),
        (AddedToken("quick", single_word=True), False),
    ],
)
def test_prefix_is_taken_unless_an_added_token_may_stand_on_both_sides(
    added: AddedToken, safe: bool
) -> None:
    found = backend("gpt2")
    found.add_tokens([added])
    text = "the <x> \u4f60 quick   New York a\nb quick, " * 50

    head = Prefixes(found, 12).of(text)

    assert (head != text) is safe
    assert ids(found, text)[: len(ids(found, head))] == ids(found, head)


_SIDES = st.sampled_from(
    ["", "never ", "the quick brown " * 3, "good, bad. " * 40, "bad-good " * 45, "x" * 420]
)


@pytest.mark.parametrize(
    ("kind", "side"),
    [("bert", "right"), ("roberta", "right"), ("xlm-roberta", "right"), ("gpt2", "left")],
)
@given(rows=st.lists(st.tuples(_SIDES, _SIDES | st.none()), max_size=4), size=st.integers(5, 20))
@settings(max_examples=20, deadline=None)
def test_truncated_long_texts_and_pairs_equal_the_processor_row_by_row(
    kind: str, side: str, rows: list[tuple[str, str | None]], size: int
) -> None:
    processor = processor_of(kind)
    processor.truncation_side = side
    wanted = [
        processor(text, other or None, truncation=True, max_length=size)["input_ids"]
        for text, other in rows
    ]

    pairs = tokens.pair_up([text for text, _ in rows], [other for _, other in rows])
    encoded = tokens.truncated(pairs, processor, size)

    present = [each for each in wanted if each]
    assert encoded.inputs["input_ids"].tolist() == [token for each in present for token in each]
    assert encoded.lengths.tolist() == [len(each) for each in present]
    processor.truncation_side = "right"


def test_truncated_text_of_60_megabytes_takes_no_time() -> None:
    text = "never was a fox so quick, " * 2_400_000
    started = time.process_time()

    encoded = tokens.truncated([text], processor_of("bert"), 64)

    assert encoded.lengths.tolist() == [64]
    assert time.process_time() - started < 5  # tokenizing all of it: about 40 seconds, 6 GB
