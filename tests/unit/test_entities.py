"""Entities: tags to pieces of text, against worked examples and seqeval."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelmill.batch import Encoded, Ragged
from labelmill.errors import ConfigError, ModelError
from labelmill.ops import entities
from labelmill.ops.entities import Tokens

BIO = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
BIOES = ["O", *(f"{prefix}-{kind}" for kind in ("PER", "LOC") for prefix in "BIES")]
BILOU = ["O", *(f"{prefix}-{kind}" for kind in ("PER", "LOC") for prefix in "BILU")]
PLAIN = ["O", "NOUN", "VERB"]


def tokens_of(
    tags: list[str],
    labels: list[str],
    words: list[int] | None = None,
    rows: list[int] | None = None,
) -> Tokens:
    """Tokens of ten characters each, whose best label is sure."""
    count = len(tags)
    scores = np.full((count, len(labels)), 0.1, np.float32)
    scores[np.arange(count), [labels.index(tag) for tag in tags]] = 0.9
    return Tokens(
        rows=np.array(rows or [0] * count, np.int64),
        words=np.array(words or range(count), np.int64),
        starts=np.arange(count, dtype=np.int64) * 10,
        ends=np.arange(count, dtype=np.int64) * 10 + 10,
        scores=scores,
    )


def found(tokens: Tokens, labels: list[str], aggregation="simple") -> list[tuple[str, int, int]]:
    """Name, first and last token of each entity that is not outside."""
    names = entities.named(labels, aggregation)
    given = entities.find(tokens, labels, aggregation)
    spans = zip(given.names, given.starts // 10, given.ends // 10 - 1, strict=True)
    return [(names[name], int(start), int(end)) for name, start, end in spans if names[name] != "O"]


@pytest.mark.parametrize(
    ("labels", "tags", "expected"),
    [
        (BIO, "B-PER I-PER O B-LOC", [("PER", 0, 1), ("LOC", 3, 3)]),
        (BIO, "B-PER B-PER I-PER", [("PER", 0, 0), ("PER", 1, 2)]),
        (BIO, "I-PER I-PER O I-LOC", [("PER", 0, 1), ("LOC", 3, 3)]),
        (BIO, "B-PER I-LOC I-PER", [("PER", 0, 0), ("LOC", 1, 1), ("PER", 2, 2)]),
        (BIO, "O O", []),
        (["O", "I-PER", "B-PER"], "I-PER B-PER I-PER", [("PER", 0, 0), ("PER", 1, 2)]),
        (BIOES, "B-PER I-PER E-PER S-PER S-PER", [("PER", 0, 2), ("PER", 3, 3), ("PER", 4, 4)]),
        (BIOES, "O E-PER I-PER I-PER", [("PER", 1, 1), ("PER", 2, 3)]),
        (BIOES, "S-LOC I-LOC E-LOC", [("LOC", 0, 0), ("LOC", 1, 2)]),
        (BIOES, "B-PER E-LOC", [("PER", 0, 0), ("LOC", 1, 1)]),
        (BILOU, "B-PER L-PER U-PER U-PER", [("PER", 0, 1), ("PER", 2, 2), ("PER", 3, 3)]),
        (BILOU, "U-LOC B-LOC I-LOC L-LOC", [("LOC", 0, 0), ("LOC", 1, 3)]),
        (PLAIN, "NOUN NOUN VERB O NOUN", [("NOUN", 0, 1), ("VERB", 2, 2), ("NOUN", 4, 4)]),
        (["WP", "WP-POSS", "O"], "WP WP-POSS", [("WP", 0, 0), ("WP-POSS", 1, 1)]),
        (["S-BAR", "L-BAR", "O"], "S-BAR S-BAR L-BAR", [("S-BAR", 0, 1), ("L-BAR", 2, 2)]),
        (["O", "B-A-B", "I-A-B"], "B-A-B I-A-B", [("A-B", 0, 1)]),
    ],
)
def test_find_simple_worked_examples(labels, tags, expected):
    assert found(tokens_of(tags.split(), labels), labels) == expected


@pytest.mark.parametrize("labels", [BIO, BIO[::-1], BIOES, ["O", "I-PER", "B-PER", "I-LOC"]])
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_find_simple_any_tags_are_the_chunks_of_seqeval(labels, data):
    """Whatever the order of tags: BIO, IOB1 where B is rare, and IOBES."""
    labelling = pytest.importorskip("seqeval.metrics.sequence_labeling")
    tags = data.draw(st.lists(st.sampled_from(labels), max_size=12))
    assert found(tokens_of(tags, labels), labels) == labelling.get_entities(tags)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_find_simple_bilou_is_bioes_by_other_letters(data):
    labelling = pytest.importorskip("seqeval.metrics.sequence_labeling")
    tags = data.draw(st.lists(st.sampled_from(BILOU), max_size=12))
    other = [tag.replace("L-", "E-").replace("U-", "S-") for tag in tags]
    assert found(tokens_of(tags, BILOU), BILOU) == labelling.get_entities(other)


@pytest.mark.parametrize(
    ("labels", "scheme", "tags"),
    [
        (BIO, "IOB2", "B-PER I-PER O B-LOC B-LOC I-LOC"),
        (BIO, "IOB1", "I-PER I-PER B-PER I-LOC O I-LOC"),
        (BIOES, "IOBES", "B-PER I-PER E-PER O S-LOC S-LOC B-LOC E-LOC"),
        (BILOU, "BILOU", "B-PER I-PER L-PER O U-LOC U-LOC B-LOC L-LOC"),
    ],
)
def test_find_simple_well_formed_tags_are_the_strict_entities_of_seqeval(labels, scheme, tags):
    schemes = pytest.importorskip("seqeval.scheme")
    strict = schemes.Entities([tags.split()], getattr(schemes, scheme)).entities[0]
    wanted = [(entity.tag, entity.start, entity.end - 1) for entity in strict]
    assert found(tokens_of(tags.split(), labels), labels) == wanted


def test_find_rows_are_never_joined():
    tokens = tokens_of(["B-PER", "I-PER", "I-PER"], BIO, words=[0, 1, 0], rows=[0, 0, 2])
    for aggregation in ("simple", "first", "average", "max"):
        given = entities.find(tokens, BIO, aggregation)
        assert given.rows.tolist() == [0, 2]
        assert given.starts.tolist() == [0, 20]


def test_find_none_gives_each_token_its_whole_label_and_score():
    tokens = tokens_of(["B-PER", "I-PER", "O"], BIO)
    given = entities.find(tokens, BIO, "none")
    assert [entities.named(BIO, "none")[name] for name in given.names] == ["B-PER", "I-PER", "O"]
    assert given.scores == pytest.approx([0.9] * 3)


def test_find_score_of_an_entity_is_the_mean_of_its_tokens():
    scores = np.array([[0.1, 0.9, 0], [0.4, 0, 0.6], [0.2, 0, 0.8]], np.float32)
    tokens = Tokens(
        rows=np.zeros(3, np.int64), words=np.arange(3), starts=np.arange(3),
        ends=np.arange(3) + 1, scores=scores,
    )  # fmt: skip
    given = entities.find(tokens, ["O", "B-PER", "I-PER"], "simple")
    assert given.scores == pytest.approx([(0.9 + 0.6 + 0.8) / 3])


# Two words; of the first the tokens disagree: B-A 0.6, then I-B 0.9.
LABELS = ["O", "B-A", "I-A", "B-B", "I-B"]
WORDS = Tokens(
    rows=np.zeros(3, np.int64),
    words=np.array([0, 0, 1]),
    starts=np.array([0, 5, 10]),
    ends=np.array([5, 9, 14]),
    scores=np.array(
        [[0.0, 0.6, 0.0, 0.2, 0.2], [0.0, 0.0, 0.1, 0.0, 0.9], [0.1, 0.0, 0.2, 0.0, 0.7]],
        np.float32,
    ),
)


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("simple", [("A", 0, 5, 0.6), ("B", 5, 14, 0.8)]),
        ("first", [("A", 0, 9, 0.6), ("B", 10, 14, 0.7)]),
        ("max", [("B", 0, 14, 0.8)]),
        ("average", [("B", 0, 14, (0.55 + 0.7) / 2)]),
    ],
)
def test_find_words_worked_example(aggregation, expected):
    given = entities.find(WORDS, LABELS, aggregation)
    names = entities.named(LABELS, aggregation)
    spans = zip(given.names, given.starts, given.ends, given.scores, strict=True)
    assert [(names[name], *place) for name, *place in spans] == [
        (name, start, end, pytest.approx(score)) for name, start, end, score in expected
    ]


def test_find_max_of_equals_is_the_first():
    tokens = tokens_of(["B-PER", "B-LOC"], BIO, words=[0, 0])
    assert found(tokens, BIO, "max") == [("PER", 0, 1)]


@pytest.mark.parametrize("aggregation", ["none", "simple", "first", "average", "max"])
def test_find_of_no_tokens_is_nothing(aggregation):
    assert found(tokens_of([], BIO), BIO, aggregation) == []


@pytest.mark.parametrize("aggregation", ["none", "simple", "first", "average", "max"])
def test_find_scores_that_are_no_numbers_are_handed_on(aggregation):
    tokens = tokens_of(["B-PER", "I-PER"], BIO)
    tokens.scores[:] = np.nan
    assert np.isnan(entities.find(tokens, BIO, aggregation).scores).all()


def encoded() -> Encoded:
    """Two windows over one text of three tokens, the second of which is in both."""
    return Encoded(
        rows=np.array([4, 4], np.int32),
        lengths=np.array([3, 3], np.int32),
        marks={
            "word": np.array([-1, 0, 1, -1, -1, 2], np.int32),
            "start": np.array([0, 0, 3, 0, 3, 6], np.int32),
            "end": np.array([0, 2, 5, 0, 5, 8], np.int32),
        },
    )


def test_read_takes_the_tokens_that_have_a_word():
    logits = np.arange(12, dtype=np.float32).reshape(6, 2) ** 2
    ragged = Ragged(values=logits, lengths=np.array([3, 3]))
    tokens = entities.read(ragged, encoded(), ["O", "X"])
    assert tokens.rows.tolist() == [4, 4, 4]
    assert tokens.starts.tolist() == [0, 3, 6]
    exponents = np.exp(logits[[1, 2, 5]] - logits[[1, 2, 5]].max(axis=1, keepdims=True))
    assert tokens.scores == pytest.approx(exponents / exponents.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("shape", [(6, 3), (5, 2)])
def test_read_logits_of_another_shape_are_refused(shape):
    ragged = Ragged(values=np.zeros(shape, np.float32), lengths=np.array([3, 3]))
    with pytest.raises(ModelError, match=r"expected \(6, 2\)"):
        entities.read(ragged, encoded(), ["O", "X"])
    with pytest.raises(ModelError, match="one vector a token"):
        entities.read(np.zeros((6, 2), np.float32), encoded(), ["O", "X"])


def test_refuse_unknown_names_the_near_miss():
    entities.refuse_unknown(["O", "PER"], BIO, "simple")
    entities.refuse_unknown(["O", "B-PER"], BIO, "none")
    entities.refuse_unknown(["O"], ["NOUN"], "simple")
    with pytest.raises(ConfigError, match=r"'B-PER' is not among .*'simple'.*'PER'"):
        entities.refuse_unknown(["B-PER"], BIO, "simple")
    with pytest.raises(ConfigError, match="did you mean 'LOC'"):
        entities.refuse_unknown(["LOCS"], BIO, "max")
