"""What a tagger learns of each token, by hand."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from labelmill.batch import Encoded, ModelFacts
from labelmill.errors import InputError
from labelmill.learning import IGNORED
from labelmill.ops import tag_targets

FACTS = ModelFacts(
    model_type="bert", architecture="", labels=(), problem_type=None, max_length=None,
    pad_token_id=0,
)  # fmt: skip
TAGS = ("O", "B-PER", "I-PER")


def column(*cells: str) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(cells, pa.large_string())])


def encoded(*rows: list[tuple[int, int, int]]) -> Encoded:
    """Rows of tokens: word, start, end."""
    flat = np.array([token for row in rows for token in row], np.int32).reshape(-1, 3)
    return Encoded(
        rows=np.arange(len(rows), dtype=np.int32),
        lengths=np.array([len(row) for row in rows], np.int32),
        inputs={"input_ids": np.zeros(len(flat), np.int32)},
        marks={"word": flat[:, 0], "start": flat[:, 1], "end": flat[:, 2]},
    )


def test_tags_of_the_column_with_outside_first():
    head = tag_targets.head(FACTS, tags=column('["O", "B-LOC"]', '["I-LOC", "O"]'), lists=None)
    assert head.labels == ("O", "B-LOC", "I-LOC")
    assert head.counts == {"O": 2, "B-LOC": 1, "I-LOC": 1}


def test_entities_are_learned_as_bio_tags():
    head = tag_targets.head(
        FACTS, tags=None, lists=column('[{"start": 0, "end": 3, "label": "PER"}]', "[]")
    )
    assert head.labels == TAGS
    assert head.counts == {"B-PER": 1}


def test_entities_are_counted_by_type():
    head = tag_targets.head(
        FACTS, tags=None,
        lists=column(
            '[{"start": 0, "end": 3, "label": "PER"}, {"start": 4, "end": 5, "label": "PER"}]',
            '[{"start": 0, "end": 3, "label": "LOC"}]', "[]", "no list",
        ),
    )  # fmt: skip
    assert head.labels == ("O", "B-LOC", "B-PER", "I-LOC", "I-PER")
    assert head.counts == {"B-LOC": 1, "B-PER": 2}


def test_an_entity_called_outside_is_none():
    """As `evaluate` reads gold entities."""
    cells = (f'[{{"start": 0, "end": 3, "label": "{label}"}}]' for label in ("O", "PER"))
    head = tag_targets.head(FACTS, tags=None, lists=column(*cells))
    assert (head.labels, head.counts) == (TAGS, {"B-PER": 1})


def test_tags_that_the_model_has_keep_their_order():
    facts = replace(FACTS, labels=("B-PER", "I-PER", "O"))
    head = tag_targets.head(facts, tags=column('["O", "B-PER"]'), lists=None)
    assert head.labels == facts.labels


def test_one_tag_teaches_nothing():
    with pytest.raises(InputError, match="at least two"):
        tag_targets.head(FACTS, tags=column('["O", "O"]'), lists=None)


def test_pieces_of_a_word_go_on_with_its_tag_and_special_tokens_are_ignored():
    tokens = encoded([(-1, 0, 0), (0, 0, 2), (0, 2, 4), (1, 5, 6), (-1, 0, 0)])
    facts = replace(FACTS, labels=TAGS)
    labels, errors = tag_targets.of_words(column('["B-PER", "O"]'), [["Anna", "x"]], tokens, facts)
    assert labels.values.tolist() == [IGNORED, 1, 2, 0, IGNORED]
    assert errors == {}


def test_rows_with_too_few_or_unknown_tags_are_told_and_the_others_learned():
    tokens = encoded([(0, 0, 1)], [(0, 0, 1)], [(0, 0, 1)])
    facts = replace(FACTS, labels=TAGS)
    labels, errors = tag_targets.of_words(
        column('["O", "O"]', '["B-PEER"]', '["B-PER"]'), [["a"], ["b"], ["c"]], tokens, facts
    )
    assert errors == {
        0: "tags: 2 of them for 1 words",
        1: "tags: no such tag is learned: 'B-PEER'; did you mean 'B-PER'?",
    }
    assert labels.values.tolist() == [IGNORED, IGNORED, 1]


def test_a_row_without_tags_may_have_words_of_several_pieces():
    tokens = encoded([(0, 0, 2), (0, 2, 4), (1, 5, 6)], [(0, 0, 2), (0, 2, 4)])
    labels, errors = tag_targets.of_words(
        column('["O"]', '["B-PER"]'), [["Anna", "x"], ["Anna"]], tokens, replace(FACTS, labels=TAGS)
    )
    assert list(errors) == [0]
    assert labels.values.tolist() == [IGNORED, IGNORED, IGNORED, 1, 2]


def test_why_no_tag_can_be_read_is_told():
    cells = column('[{"start": 0, "end": 1, "type": "PER"}]')
    said = r"\['O'\].*\(of a row that has none: entities\[0\]: expected an object with start, end"
    with pytest.raises(InputError, match=said):
        tag_targets.head(FACTS, tags=None, lists=cells)


def test_an_entity_needs_both_of_its_tags():
    cell, facts = (
        column('[{"start": 0, "end": 4, "label": "A"}]'),
        replace(FACTS, labels=("O", "B-A")),
    )
    _, errors = tag_targets.of_entities(cell, ["Anna"], encoded([(0, 0, 4)]), facts)
    assert errors == {0: "entities: no such tag is learned: 'I-A'"}


@pytest.mark.parametrize(("gap", "shown"), [("null", "None"), ('""', "''")])
def test_a_tag_that_is_missing_is_none(gap, shown):
    cell = f'["O", {gap}]'
    with pytest.raises(InputError, match="at least two"):
        tag_targets.head(FACTS, tags=column('["O"]', cell), lists=None)
    tokens, facts = encoded([(0, 0, 1), (1, 2, 3)]), replace(FACTS, labels=TAGS)
    _, errors = tag_targets.of_words(column(cell), [["a", "b"]], tokens, facts)
    assert errors == {0: f"tags[1]: found {shown}, expected a tag"}


def test_tokens_of_an_entity_begin_and_go_on():
    # "I saw Anna Lee": the second token of Anna begins in the middle of the word.
    tokens = encoded([(0, 0, 1), (1, 2, 5), (2, 6, 8), (2, 8, 10), (3, 11, 14)])
    facts = replace(FACTS, labels=TAGS)
    cell = column('[{"start": 6, "end": 14, "label": "PER"}]')
    labels, errors = tag_targets.of_entities(cell, ["I saw Anna Lee"], tokens, facts)
    assert labels.values.tolist() == [0, 0, 1, 2, 2]
    assert errors == {}


def test_an_entity_may_touch_the_next_and_stand_there_twice():
    tokens = encoded([(0, 0, 2), (1, 2, 3)])
    facts = replace(FACTS, labels=TAGS)
    cell = column(
        '[{"start": 2, "end": 3, "label": "PER"}, {"start": 0, "end": 2, "label": "PER"}, '
        '{"start": 0, "end": 2, "label": "PER"}]'
    )
    labels, errors = tag_targets.of_entities(cell, ["Li!"], tokens, facts)
    assert (labels.values.tolist(), errors) == ([1, 1], {})


def test_characters_of_an_entity_are_code_points():
    """A face is one, of four bytes and two UTF-16 units; an accent of its own is another."""
    text = "\N{GRINNING FACE} e\N{COMBINING ACUTE ACCENT}"
    tokens = encoded([(0, 0, 1), (1, 2, 4)])
    facts = replace(FACTS, labels=TAGS)
    cells = column(*(f'[{{"start": 2, "end": {end}, "label": "PER"}}]' for end in (4, 5)))
    labels, errors = tag_targets.of_entities(cells, [text, text], tokens, facts)
    assert labels.values.tolist() == [0, 1]
    assert errors == {1: "entities: 'PER' from 2 to 5, but the text has 4 characters"}


def test_rows_without_words_keep_their_own_reason():
    facts = replace(FACTS, labels=TAGS)
    assert tag_targets.of_words(column('["O"]'), [None], encoded([]), facts)[1] == {}
    cell = column('[{"start": 0, "end": 1, "label": "PER"}]')
    assert tag_targets.of_entities(cell, [None], encoded([]), facts)[1] == {}


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("{}", "entities: found '{}', expected a list"),
        ('[{"start": 2, "end": 1, "label": "PER"}]', "entities[0]: from 2 to 1 is no span"),
        ('[{"start": 0}]', "entities[0]: expected an object with start, end and label"),
        ('[{"start": 0, "end": 1, "label": "LOC"}]', "entities: no such label is learned: 'LOC'"),
        (
            '[{"start": 0, "end": 1, "label": null}]',
            "entities[0]: label None found, expected a type of entity",
        ),
        (
            '[{"start": 1, "end": 3, "label": "PER"}, {"start": 0, "end": 2, "label": "PER"}]',
            "entities: 'PER' from 0 to 2 and 'PER' from 1 to 3 overlap, expected them apart",
        ),
        (
            '[{"start": 0, "end": 3, "label": "PER"}, {"start": 0, "end": 3, "label": "LOC"}]',
            "entities: 'LOC' from 0 to 3 and 'PER' from 0 to 3 overlap, expected them apart",
        ),
    ],
)
def test_lists_that_are_none_are_told(cell, reason):
    facts = replace(FACTS, labels=TAGS)
    _, errors = tag_targets.of_entities(column(cell), ["Anna"], encoded([(0, 0, 1)]), facts)
    assert errors == {0: reason}
