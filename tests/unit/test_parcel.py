"""A parcel is a split on its way: nothing may be lost or changed between two stages."""

import numpy as np
import pyarrow as pa
import pytest

from labelmill.batch import Encoded
from labelmill.splits import Break, Rows, Split
from labelmill.stages.parcel import Head, Parcel, encoded_table

SPLIT = Split(shard="a/b c.jsonl.gz", index=3, start=10, stop=99, last=True)


def some_rows() -> Rows:
    return Rows(
        position=pa.chunked_array([pa.array([10, 20, 30], pa.int64())]),
        error=pa.chunked_array([pa.array([None, "not JSON", None], pa.string())]),
        fields={
            "text": pa.chunked_array([pa.array(["a", None, "\u00e9\U0001f600"], pa.large_string())])
        },
        kept={"field:text": pa.chunked_array([pa.array([1, None, 3], pa.int32())])},
        text=pa.chunked_array([pa.array([None, "{", None], pa.string())]),
    )


def some_encoded(largest: int) -> Encoded:
    return Encoded(
        rows=np.array([0, 0, 1], np.int32),
        lengths=np.array([2, 0, 3], np.int32),
        inputs={"input_ids": np.array([1, 2, 3, 4, largest], np.int32)},
    )


def test_parcel_through_a_block_keeps_head_and_cells() -> None:
    head = Head(
        split=SPLIT,
        generation=2,
        breaks=(Break(start=5, stop=None, reason="gzip: broken"),),
        errors={1: "no"},
        tokens=7,
        seconds={"read": 0.5},
        agreement={"rows": 3.0},
    )
    sent = Parcel(head=head, cells={}).with_cell("rows", some_rows().to_table())
    sent = sent.with_cell("encoded", encoded_table(some_encoded(9)))

    received = Parcel.from_block(sent.to_block())

    assert received.head == head
    assert received.rows().to_table().equals(some_rows().to_table())
    assert set(received.cells) == {"rows", "encoded"}


@pytest.mark.parametrize("largest", [9, 2**16 - 1, 2**16, 2**31 - 1])
def test_encoded_rows_through_a_block_are_equal_whatever_the_ids(largest: int) -> None:
    encoded = some_encoded(largest)
    parcel = Parcel(head=Head(split=SPLIT), cells={}).with_cell("encoded", encoded_table(encoded))

    back = Parcel.from_block(parcel.to_block()).encoded()

    assert back.rows.tolist() == encoded.rows.tolist()
    assert back.lengths.tolist() == encoded.lengths.tolist()
    assert back.inputs["input_ids"].dtype == np.int32
    assert back.inputs["input_ids"].tolist() == encoded.inputs["input_ids"].tolist()


def test_encoded_rows_of_an_empty_split_are_empty() -> None:
    nothing = Encoded(
        rows=np.zeros(0, np.int32),
        lengths=np.zeros(0, np.int32),
        inputs={"input_ids": np.zeros(0, np.int32)},
    )
    parcel = Parcel(head=Head(split=SPLIT), cells={}).with_cell("encoded", encoded_table(nothing))

    assert len(Parcel.from_block(parcel.to_block()).encoded()) == 0


def test_parcel_skipped_carries_no_cells() -> None:
    parcel = Parcel(head=Head(split=SPLIT), cells={}).with_cell("rows", some_rows().to_table())

    skipped = Parcel.from_block(parcel.skip().to_block())

    assert skipped.head.skipped
    assert not skipped.cells


def test_parcel_of_two_rows_is_refused() -> None:
    block = Parcel(head=Head(split=SPLIT), cells={}).to_block()

    with pytest.raises(AssertionError, match="2 rows"):
        Parcel.from_block(pa.concat_tables([block, block]))


def test_encoded_media_through_a_block_keep_shapes_marks_and_how_they_are_batched() -> None:
    pixels = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5) / 7
    encoded = Encoded(
        rows=np.array([0, 2], np.int32),
        lengths=np.array([2, 3], np.int32),
        inputs={"input_values": np.array([0.5, -1, 2, 3, 1e-9], np.float32)},
        fixed={"pixel_values": pixels, "seed": np.array([7, -(2**60)])},
        marks={"start": np.array([0, 1, 0, -1, 2**31 - 1], np.int32)},
        errors={1: "no picture"},
        unit=320,
        uneven=False,
    )
    parcel = Parcel(head=Head(split=SPLIT), cells={}).with_cell("encoded", encoded_table(encoded))

    back = Parcel.from_block(parcel.to_block()).encoded()

    for family in ("inputs", "fixed", "marks"):
        sent, received = getattr(encoded, family), getattr(back, family)
        assert sent.keys() == received.keys()
        for name, values in sent.items():
            assert np.array_equal(received[name], values), name
            assert received[name].dtype == values.dtype
    assert (back.unit, back.uneven) == (320, False)
    assert back.errors == {}  # they travel in the head
