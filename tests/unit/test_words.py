"""Words: the tokens of a text from those of its words, compared with the full tokenization."""

import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, normalizers, processors

from labelmill.demo import packages
from labelmill.ops import tokens, words
from labelmill.ops.framing import Frame
from labelmill.ops.words import Words, words_of
from tests.support.backends import KINDS, TEXTS, UNSAFE, backend, ids, made
from tests.support.models import processor_of

_SPACED = st.lists(TEXTS | st.sampled_from(["a", "fox", "'s", "[MASK]", "<mask>"]), max_size=8)


@functools.cache
def of_kind(kind: str) -> tuple[Any, Words]:
    """A tokenizer, and its words, which many texts have taught already."""
    found = made(KINDS[kind])
    known = words_of(found)
    assert known is not None
    return found, known


def listed(found: list[bytes]) -> list[list[int]]:
    return [np.frombuffer(each, np.int32).tolist() for each in found]


@pytest.mark.parametrize("kind", KINDS)
@given(texts=st.lists(TEXTS | _SPACED.map(" ".join), max_size=4))
@example(texts=["", " ", "a", " a", "a ", "a b", "a  b", "a \u0301b", "e\u0301 \u0301 a", "a\n b"])
@example(texts=["a <mask> b", "a <mask>b c", "[MASK] a [SEP] b", "x \u2581 y", "don't can 't"])
@settings(max_examples=60, deadline=None)
def test_words_of_generated_text_give_its_tokens(kind: str, texts: list[str]) -> None:
    found, known = of_kind(kind)

    wanted = [ids(found, text) for text in texts]

    assert listed(known.ids(texts)) == wanted
    assert listed(Words(found).ids(texts)) == wanted
    assert [known.count(text) for text in texts] == [len(each) for each in wanted]


@functools.cache
def real_texts() -> list[str]:
    """Docstrings of this machine's packages: prose, code, lists; and long documents of them."""
    short = [row.text for row in packages.rows(150)]
    return [*short, *(("\n\n".join(short[start:])[:9000]) for start in (0, 50, 100))]


@pytest.mark.parametrize("kind", KINDS)
def test_words_of_real_text_give_its_tokens(kind: str) -> None:
    found, known = of_kind(kind)

    assert listed(known.ids(real_texts())) == [ids(found, text) for text in real_texts()]


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta", "gpt2"])
@pytest.mark.parametrize("max_length", [8, 64, None])
def test_truncated_real_text_equals_the_processor_row_by_row(
    kind: str, max_length: int | None
) -> None:
    processor, texts = processor_of(kind), real_texts()
    wanted = [
        processor(text, truncation=max_length is not None, max_length=max_length) for text in texts
    ]

    encoded = tokens.truncated(texts, processor, max_length)

    assert encoded.rows.tolist() == list(range(len(texts)))
    for name, values in encoded.inputs.items():
        assert values.tolist() == [one for row in wanted for one in row[name]]


def test_words_beyond_those_remembered_are_tokenized_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(words, "_KEPT", 5)
    found = backend("bert")
    known = Words(found)
    texts = ["the quick brown fox", "a lazy dog and then", "the fox and a good plot " + "x" * 90]

    for _ in range(3):
        assert listed(known.ids(texts)) == [ids(found, text) for text in texts]
        for text in texts:
            assert listed(known.ids([text])) == [ids(found, text)]


def test_words_of_a_tokenizer_that_was_changed_are_those_it_gives_now() -> None:
    found, text = backend("bert"), "the quick foxy fox"
    before, after = words_of(found), []
    assert before is not None
    assert listed(before.ids([text])) == [ids(found, text)]

    for token in ("foxy", "ox"):  # not in the vocabulary, and in it
        found.add_tokens([AddedToken(token)])
        after.append(words_of(found))

    assert after[1] is not None
    assert listed(after[1].ids([text])) == [ids(found, text)]
    assert len({id(each) for each in (before, *after)}) == 3


@pytest.mark.parametrize("kind", UNSAFE)
def test_words_are_not_used_where_a_tokenizer_may_join_them(kind: str) -> None:
    assert words_of(made(UNSAFE[kind])) is None


@pytest.mark.parametrize(
    "token",
    [
        AddedToken("<x>", rstrip=True),
        AddedToken("New York"),
        AddedToken("a ", normalized=False),
        AddedToken("quick", single_word=True),
    ],
)
def test_words_are_not_used_where_an_added_token_reaches_over_a_space(token: AddedToken) -> None:
    found = backend("gpt2")
    found.add_tokens([token])

    assert words_of(found) is None


def test_words_are_not_used_where_spaces_in_front_are_stripped_or_merges_are_dropped() -> None:
    stripping, dropping = backend("xlm-roberta"), backend("gpt2")
    stripping.normalizer = normalizers.Strip()
    model = dropping.model
    model.dropout = 0.5
    dropping.model = model

    assert words_of(stripping) is None
    assert words_of(dropping) is None


def test_frame_is_what_stands_before_and_after_with_its_types() -> None:
    found = backend("bert")
    found.post_processor = processors.TemplateProcessing(
        single="[CLS]:3 $A:1 [SEP]:2 [SEP]:4", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    frame = Frame.of(found)
    texts = ["never good", "", "a fox"]
    wanted = [found.encode(text) for text in texts]

    assert frame is not None
    given_ids, lengths = frame.around(Words(found).ids(texts), None)
    assert given_ids.tolist() == [one for each in wanted for one in each.ids]
    assert frame.types(lengths).tolist() == [one for each in wanted for one in each.type_ids]


def test_frame_of_a_template_that_repeats_the_text_is_none() -> None:
    found = backend("bert")
    found.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP] $A", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )

    assert Frame.of(found) is None
