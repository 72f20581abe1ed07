"""The self-check against float32 stops a job on proof, not on chance."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelmill.batch import Encoded
from labelmill.errors import EngineError
from labelmill.stages import agreement


def found(total: int, flips: int) -> dict[str, float]:
    return {"rows": float(total), "agreement": (total - flips) / total, "largest_difference": 0.0}


@pytest.mark.parametrize(
    ("flips", "stops"), [(0, False), (1, False), (3, False), (4, True), (64, True)]
)
def test_agreement_below_the_wanted_share_stops_only_where_chance_cannot_explain_it(
    flips: int, stops: bool
) -> None:
    if stops:
        with pytest.raises(EngineError, match="min_agreement"):
            agreement.enforce(found(64, flips), 0.99, "bfloat16")
    else:
        agreement.enforce(found(64, flips), 0.99, "bfloat16")


def test_agreement_of_one_wanted_stops_at_the_first_flip() -> None:
    with pytest.raises(EngineError, match="63 of 64"):
        agreement.enforce(found(64, 1), 1.0, "bfloat16")


def test_record_tells_share_and_largest_difference() -> None:
    ours = pa.table({"label": ["a", "b"], "score": pa.array([0.5, 0.75], pa.float32())})
    reference = pa.table({"label": ["a", "c"], "score": pa.array([0.5, 0.5], pa.float32())})

    told = agreement.record(np.array([True, False]), ours, reference)

    assert told == {
        "rows": 2.0,
        "agreement": 0.5,
        "flips": 1.0,
        "largest_difference": 0.25,
        "p99_difference": pytest.approx(0.2475),
    }


def test_record_leaves_out_scores_that_are_no_numbers() -> None:
    ours = pa.table({"label": ["a"] * 3, "score": pa.array([np.inf, np.nan, 0.5], pa.float32())})
    reference = pa.table({"label": ["a"] * 3, "score": pa.array([9e4, 1.0, 0.75], pa.float32())})

    told = agreement.record(np.array([True, True, True]), ours, reference)

    assert (told["largest_difference"], told["p99_difference"]) == (0.25, 0.25)


def listed(labels: list[list[str]], scores: list[list[float]]) -> pa.Table:
    return pa.table({"label": labels, "score": pa.array(scores, pa.list_(pa.float32()))})


def test_record_of_several_labels_tells_what_flips_at_the_threshold() -> None:
    ours = listed([["a", "b"], ["a"], []], [[0.9, 0.5], [0.75], []])
    reference = listed([["a"], ["a"], ["c"]], [[0.9], [0.5], [0.5]])

    told = agreement.record(np.array([False, True, False]), ours, reference)

    assert told["flips"] == 2
    assert told["threshold_flips"] == 2  # b of the first row, c of the last
    assert told["largest_difference"] == 0.25  # only where the labels are the same


def test_record_of_entities_counts_those_that_one_precision_lacks() -> None:
    one, two = ({"label": "PER", "start": start, "end": start + 3} for start in (0, 5))
    ours, reference = (pa.table({"entities": [each]}) for each in ([one, two], [one]))

    told = agreement.record(np.array([False]), ours, reference)

    assert (told["flips"], told["threshold_flips"]) == (1, 1)


def test_required_share_is_the_samples_own() -> None:
    agreement.require(found(100, 1), 0.99, "int8")
    with pytest.raises(EngineError, match=r"98 of 100.*'auto'.*min_agreement"):
        agreement.require(found(100, 2), 0.99, "int8")


@given(st.integers(0, 500))
def test_sample_is_at_most_64_distinct_rows_of_the_split(rows: int) -> None:
    chosen = agreement.sample(rows)

    assert len(chosen) == min(rows, agreement.SAMPLE)
    assert len(set(chosen.tolist())) == len(chosen)
    assert all(0 <= row < rows for row in chosen)


def test_part_of_encoded_rows_takes_all_sequences_of_the_chosen_rows() -> None:
    encoded = Encoded(
        rows=np.array([0, 1, 1, 2], np.int32),
        lengths=np.array([1, 2, 1, 3], np.int32),
        inputs={"input_ids": np.arange(7, dtype=np.int32)},
    )

    part = agreement.part_of(encoded, np.array([1, 2]))

    assert part.rows.tolist() == [0, 0, 1]
    assert part.lengths.tolist() == [2, 1, 3]
    assert part.inputs["input_ids"].tolist() == [1, 2, 3, 4, 5, 6]
