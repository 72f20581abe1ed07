"""Prefixes: the first tokens of a long text, found without tokenizing the rest of it."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken

from labelmill.ops import tokens
from labelmill.ops.prefixes import Prefixes, rule
from tests.support.backends import KINDS, TEXTS, UNSAFE, backend, ids, made
from tests.support.models import processor_of

_CUTTABLE = "the quick " * 100


@pytest.mark.parametrize("kind", KINDS)
@given(text=TEXTS, tokens_wanted=st.integers(1, 12))
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


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("lengths", [(40_000, 39_000), (39_000, 40_000), (40_000, 40_000)])
def test_pair_of_two_texts_that_cannot_be_cut_costs_no_product(
    side: str, lengths: tuple[int, int]
) -> None:
    """Every piece of one with every one of the other would be a million."""
    processor = processor_of("xlm-roberta")
    processor.truncation_side = side
    pair = ("x" * lengths[0], "\u00e9" * lengths[1])
    short = tuple(text[-400:] if side == "left" else text[:400] for text in pair)
    longer = 1 if lengths[1] >= lengths[0] else 0
    short = tuple(text + text[:9] if n == longer else text for n, text in enumerate(short))

    found, wanted = (tokens.truncated([each], processor, 9) for each in (pair, short))

    assert found.inputs["input_ids"].tolist() == wanted.inputs["input_ids"].tolist()
    processor.truncation_side = "right"


@pytest.mark.parametrize(("first", "second"), [(900, 800), (800, 900)])
def test_two_long_texts_are_cut_and_the_longer_stays_so(first: int, second: int) -> None:
    found = backend("bert")
    prefixes = Prefixes(found, 9)

    heads = prefixes.of(("never was " * first, "quick fox " * second))

    lengths = [len(ids(found, head)) for head in heads]
    assert 9 < min(lengths) < max(lengths) < 100
    assert (lengths[0] > lengths[1]) is (first > second)


def test_truncated_text_of_60_megabytes_takes_no_time() -> None:
    text = "never was a fox so quick, " * 2_400_000
    started = time.process_time()

    encoded = tokens.truncated([text], processor_of("bert"), 64)

    assert encoded.lengths.tolist() == [64]
    assert time.process_time() - started < 5  # tokenizing all of it: about 40 seconds, 6 GB
