"""Batching: laws that hold for every set of lengths and every budget."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from labelmill.batch import Encoded, Padding, Ragged
from labelmill.batching import microbatches, outputs_in_order

PAD = 7
lengths = st.lists(st.integers(1, 40), max_size=60)
budgets = st.integers(1, 300)
launches = st.integers(0, 50)
paddings = st.builds(Padding, launch=launches, multiple_of=st.sampled_from([1, 8, 16]))


def encoded(counts):
    """Sequences whose tokens are all different, so that a misplaced one shows."""
    total = sum(counts)
    return Encoded(
        rows=np.arange(len(counts), dtype=np.int32),
        lengths=np.array(counts, dtype=np.int32),
        inputs={
            "input_ids": np.arange(100, 100 + total, dtype=np.int32),
            "token_type_ids": np.arange(100, 100 + total, dtype=np.int32) % 2 + 5,
        },
    )


@given(lengths, budgets, paddings)
def test_microbatches_any_lengths_hold_every_sequence_once(counts, budget, padding):
    batches = list(microbatches(encoded(counts), budget, PAD, padding=padding))
    places = [int(place) for batch in batches for place in batch.sequences]
    assert sorted(places) == list(range(len(counts)))


@given(lengths, budgets, paddings)
def test_microbatches_any_lengths_keep_the_budget_or_hold_one_sequence(counts, budget, padding):
    for batch in microbatches(encoded(counts), budget, PAD, padding=padding):
        rows, padded = batch.shape
        assert (rows, padded) == batch.inputs["attention_mask"].shape
        assert rows == 1 or rows * padded <= budget
        longest = max(counts[place] for place in batch.sequences)
        whole = min(max(counts), -(-longest // padding.multiple_of) * padding.multiple_of)
        assert padded == (whole if whole - longest <= whole / 4 else longest)


@given(lengths, budgets, paddings)
def test_microbatches_written_back_by_sequences_give_every_token_in_its_place(
    counts, budget, padding
):
    ragged = encoded(counts)
    restored = {name: [None] * len(counts) for name in ragged.inputs}
    for batch in microbatches(ragged, budget, PAD, padding=padding):
        mask = batch.inputs["attention_mask"].astype(bool)
        for name, places in restored.items():
            for at, place in enumerate(batch.sequences):
                places[place] = batch.inputs[name][at][mask[at]]
    for name, values in ragged.inputs.items():
        assert np.array_equal(np.concatenate([[], *restored[name]]), values)


@given(lengths, budgets, paddings)
def test_microbatches_any_lengths_come_longest_first_and_stable(counts, budget, padding):
    order = [
        int(place)
        for batch in microbatches(encoded(counts), budget, PAD, padding=padding)
        for place in batch.sequences
    ]
    assert order == sorted(range(len(counts)), key=lambda place: -counts[place])


def test_microbatches_that_pad_to_a_multiple_pad_with_each_inputs_own_value():
    (_, batch) = microbatches(encoded([3, 5]), 8, PAD, padding=Padding(multiple_of=4))
    assert batch.inputs["input_ids"].tolist() == [[100, 101, 102, PAD]]
    assert batch.inputs["attention_mask"].tolist() == [[1, 1, 1, 0]]
    assert batch.size == 4


def test_microbatches_are_not_padded_to_a_multiple_that_is_far():
    given = encoded([32, 25, 24, 23, 9])
    batches = microbatches(given, 1, PAD, padding=Padding(multiple_of=16))
    assert [batch.shape for batch in batches] == [(1, 32), (1, 32), (1, 32), (1, 23), (1, 9)]


@given(lengths, budgets, st.randoms())
def test_microbatches_only_some_hold_just_those(counts, budget, chance):
    some = np.array(sorted(chance.sample(range(len(counts)), len(counts) // 2)), dtype=np.int64)
    batches = microbatches(encoded(counts), budget, PAD, only=some)
    assert sorted(int(place) for batch in batches for place in batch.sequences) == list(some)


def test_microbatches_padding_has_each_inputs_own_value():
    (batch,) = microbatches(encoded([1, 3]), 6, PAD)
    assert batch.inputs["input_ids"].tolist() == [[101, 102, 103], [100, PAD, PAD]]
    assert batch.inputs["token_type_ids"].tolist() == [[6, 5, 6], [5, 0, 0]]
    assert batch.inputs["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert {values.dtype for values in batch.inputs.values()} == {np.dtype(np.int64)}


def test_microbatches_of_many_mixed_sequences_hold_little_padding():
    counts = [1 + place * 7 % 40 for place in range(400)]
    masks = [batch.inputs["attention_mask"] for batch in microbatches(encoded(counts), 160, PAD)]
    assert sum(map(np.sum, masks)) > 0.95 * sum(map(np.size, masks))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=9), budgets, st.integers(1, 50))
def test_microbatches_with_the_cost_of_a_launch_cost_least_of_all_ways_to_cut(
    counts, budget, launch
):
    batches = microbatches(encoded(counts), budget, PAD, padding=Padding(launch=launch))
    cost = sum(launch + batch.inputs["attention_mask"].size for batch in batches)

    assert cost == min(_costs(sorted(counts, reverse=True), budget, launch))


def _costs(ordered, budget, launch):
    """The cost of every way to cut into sizes that are weighed, by trying all."""
    if not ordered:
        yield 0
    for size in range(1, len(ordered) + 1):
        full = min(max(1, budget // ordered[0]), len(ordered))
        if size == full or (size < full and size in {1, 2, 3, 4, 6, 8}):
            for rest in _costs(ordered[size:], budget, launch):
                yield launch + size * ordered[0] + rest


def test_microbatches_of_a_huge_budget_hold_all_that_is_left():
    """More than any size but that: padding costs less than a launch."""
    (only,) = microbatches(encoded([40] * 20_000), 10**9, PAD, padding=Padding(launch=32))
    assert only.sequences.tolist() == list(range(20_000))


def test_microbatches_have_few_shapes_whatever_the_lengths_are():
    chance = np.random.default_rng(1)
    splits = [chance.geometric(0.08, 500).clip(1, 64).tolist() for _ in range(40)]
    shapes = [
        batch.shape
        for counts in splits
        for batch in microbatches(encoded(counts), 512, PAD, padding=Padding(launch=32))
    ]
    assert len(shapes) > 500
    assert len(set(shapes)) < 300  # 461 where any number of sequences may share one


# Sound and pictures


def test_sequences_that_must_be_even_share_a_microbatch_only_with_their_like():
    lengths = np.array([5, 3, 5, 3, 3], np.int32)
    encoded = Encoded(
        rows=np.arange(5, dtype=np.int32),
        lengths=lengths,
        inputs={"input_values": np.arange(19, dtype=np.float32)},
        uneven=False,
    )
    batches = list(microbatches(encoded, 10**6, 0, padding=Padding(multiple_of=4)))
    assert [batch.sequences.tolist() for batch in batches] == [[0, 2], [1, 3, 4]]
    assert batches[1].inputs["input_values"].dtype == np.float32
    assert batches[1].inputs["input_values"].tolist() == [[5, 6, 7], [13, 14, 15], [16, 17, 18]]
    assert all(batch.inputs["attention_mask"].all() for batch in batches)


def test_the_budget_counts_units_and_not_entries():
    encoded = Encoded(
        rows=np.arange(4, dtype=np.int32),
        lengths=np.array([100, 100, 90, 90], np.int32),
        inputs={"input_values": np.zeros(380, np.float32)},
        unit=50,
    )
    batches = microbatches(encoded, 4, 0, padding=Padding(multiple_of=16))
    assert [batch.shape for batch in batches] == [(2, 100), (2, 90)]


def test_fixed_inputs_are_taken_as_they_are_and_have_no_mask():
    pixels = np.arange(24, dtype=np.float32).reshape(3, 2, 4)
    encoded = Encoded(
        rows=np.arange(3, dtype=np.int32),
        lengths=np.full(3, 7, np.int32),
        fixed={"pixel_values": pixels},
    )
    batches = list(microbatches(encoded, 14, 0))
    assert [batch.shape for batch in batches] == [(2, 7), (1, 7)]
    assert [list(batch.inputs) for batch in batches] == [["pixel_values"]] * 2
    found = np.concatenate([batch.inputs["pixel_values"] for batch in batches])
    assert np.array_equal(found, pixels)


def test_outputs_of_all_microbatches_stand_in_the_order_of_the_sequences():
    pieces = [
        (np.array([2, 0]), {"a": np.array([[2.0], [0.0]]), "r": ragged([20, 21, 0], [2, 1])}),
        (np.array([3, 1]), {"a": np.array([[3.0], [1.0]]), "r": ragged([30, 31, 32], [3, 0])}),
    ]
    found = outputs_in_order(pieces, 4)
    assert found["a"].tolist() == [[0.0], [1.0], [2.0], [3.0]]
    assert found["r"].values.tolist() == [0, 20, 21, 30, 31, 32]
    assert found["r"].lengths.tolist() == [1, 0, 2, 3]
    assert outputs_in_order([], 0) == {}


def ragged(values, lengths):
    return Ragged(values=np.array(values), lengths=np.array(lengths))


def test_long_sequences_are_padded_as_short_ones_are() -> None:
    lengths = np.array([1500, 3, 2000], np.int32)
    ids = np.arange(1, 3504, dtype=np.uint16)
    encoded = Encoded(rows=np.arange(3, dtype=np.int32), lengths=lengths, inputs={"input_ids": ids})

    (batch,) = microbatches(encoded, 10**6, pad_token_id=0)

    assert batch.sequences.tolist() == [2, 0, 1]
    assert batch.inputs["input_ids"].dtype == np.int64
    starts = (1504, 1, 1501)
    ids, masks = batch.inputs["input_ids"], batch.inputs["attention_mask"]
    for row, mask, start, length in zip(ids, masks, starts, batch.lengths, strict=True):
        assert row[:length].tolist() == list(range(start, start + length))
        assert not row[length:].any()
        assert mask.tolist() == [1] * length + [0] * (2000 - length)
