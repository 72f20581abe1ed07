"""Entity lists: the Arrow column of entities, and when two of them say the same."""

import numpy as np
import pyarrow as pa
import pytest

from labelmill.ops import entity_lists
from labelmill.ops.entities import Entities


def entities(*places: tuple[int, int, int]) -> Entities:
    """Row, start and end of each; names 0, 1, 0 ..."""
    rows, starts, ends = np.array(places, np.int64).reshape(-1, 3).T
    return Entities(
        rows=rows,
        names=np.arange(len(rows)) % 2,
        scores=np.linspace(0.5, 1, len(rows), dtype=np.float32),
        starts=starts,
        ends=ends,
    )


def test_column_slices_code_points_and_keeps_empty_apart_from_null():
    texts = ["\U0001f600 Zo\u00eb in \u5317\u4eac", "nothing", None]
    column = entity_lists.column(
        entities((0, 2, 5), (0, 9, 11)), ["PER", "LOC"], texts, np.array([True, True, False])
    )
    column.validate(full=True)
    assert column.type == entity_lists.ENTITIES
    assert column.to_pylist() == [
        [
            {"label": "PER", "score": 0.5, "start": 2, "end": 5, "text": "Zo\u00eb"},
            {"label": "LOC", "score": 1.0, "start": 9, "end": 11, "text": "\u5317\u4eac"},
        ],
        [],
        None,
    ]


def test_column_of_no_rows_is_empty():
    column = entity_lists.column(entities(), ["A"], [], np.zeros(0, np.bool_))
    assert column.type == entity_lists.ENTITIES
    assert len(column) == 0


def test_trimmed_leaves_out_white_space_and_what_is_nothing_else():
    text = "in \t Oslo\u2003, "
    trimmed = entity_lists.trimmed(entities((0, 2, 10), (0, 2, 4), (0, 10, 12), (0, 4, 4)), [text])
    assert trimmed.starts.tolist() == [5, 10]
    assert trimmed.ends.tolist() == [9, 11]
    assert trimmed.names.tolist() == [0, 0]


def listed(*spans: tuple[int, int]) -> list[dict[str, object]]:
    return [
        {"label": "A", "score": 0.5, "start": start, "end": end, "text": ""} for start, end in spans
    ]


@pytest.mark.parametrize(
    ("ours", "reference", "expected"),
    [
        (listed((0, 1)), listed((0, 1)), True),
        (listed((0, 1)), listed((0, 2)), False),
        (listed((0, 1)), [], False),
        ([], [], True),
        (None, None, True),
        (None, [], False),
        (listed(*((n, n + 1) for n in range(20))), listed(*((n, n + 1) for n in range(19))), True),
        (listed(*((n, n + 1) for n in range(8))), listed(*((n, n + 1) for n in range(7))), False),
    ],
)
def test_agree_rows_of_the_same_places_and_labels(ours, reference, expected):
    tables = [
        pa.chunked_array([pa.array([rows], entity_lists.ENTITIES)]) for rows in (ours, reference)
    ]
    assert entity_lists.agree(*tables).tolist() == [expected]


def test_agree_scores_may_differ_and_labels_may_not():
    ours = pa.array([listed((0, 1))] * 2, entity_lists.ENTITIES)
    other = listed((0, 1))
    other[0]["score"] = 0.9
    third = listed((0, 1))
    third[0]["label"] = "B"
    reference = pa.array([other, third], entity_lists.ENTITIES)
    found = entity_lists.agree(pa.chunked_array([ours]), pa.chunked_array([reference]))
    assert found.tolist() == [True, False]
