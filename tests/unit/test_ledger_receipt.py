"""The receipt: its round trip through JSON, and its sums."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelmill.errors import LedgerError
from labelmill.ledger.receipt import Receipt, part_name
from labelmill.splits import Break, Reject, Split
from tests.support.runs import a_receipt, a_split

_COUNTS = st.integers(0, 2**53)
_JSON = st.dictionaries(
    st.text(),
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
)
_SPLITS = st.builds(
    Split, shard=st.text(), index=_COUNTS, start=_COUNTS, stop=_COUNTS, last=st.booleans()
)
_REJECTS = st.builds(Reject, position=_COUNTS, reason=st.text(), text=st.none() | st.text())
_BREAKS = st.builds(Break, start=_COUNTS, stop=st.none() | _COUNTS, reason=st.text())
_SECONDS = st.floats(0, 1e9)
_RECEIPTS = st.builds(
    Receipt,
    split=_SPLITS,
    generation=_COUNTS,
    part=st.text(),
    part_size=_COUNTS,
    checksum=st.text(),
    rows_read=_COUNTS,
    rows_labelled=_COUNTS,
    rows_rejected=_COUNTS,
    rows_written=_COUNTS,
    tokens=_COUNTS,
    padded_tokens=_COUNTS,
    rejects=st.lists(_REJECTS, max_size=3).map(tuple),
    breaks=st.lists(_BREAKS, max_size=3).map(tuple),
    seconds=st.dictionaries(st.text(), _SECONDS),
    attempt=st.text(),
    agreement=st.none() | _JSON,
    replica=_JSON,
    time=_SECONDS,
)


@given(_RECEIPTS)
def test_receipt_through_json_comes_back_equal(receipt: Receipt) -> None:
    assert Receipt.from_json(receipt.to_json()) == receipt


@given(_RECEIPTS)
def test_receipt_through_an_entry_loses_its_rejects_only(receipt: Receipt) -> None:
    assert Receipt.from_entry(receipt.to_entry()) == replace(receipt, rejects=())
    assert sum(receipt.to_entry()["reasons"].values()) == len(receipt.rejects)


@pytest.mark.parametrize(
    "change",
    [
        {"rows_read": 11},
        {"rows_labelled": 9},
        {"rows_rejected": 1},
        {"rows_written": 5},
        {"rejects": ()},
    ],
)
def test_receipt_whose_counts_contradict_each_other_is_refused(change: dict[str, int]) -> None:
    receipt = a_receipt(a_split(), rejected=2)
    receipt.check()
    with pytest.raises(LedgerError, match="does not add up"):
        replace(receipt, **change).check()


def test_receipt_of_rows_kept_with_null_labels_adds_up() -> None:
    a_receipt(a_split(), rejected=2, rows_written=10).check()


def test_part_name_keeps_the_folders_and_the_suffix_of_its_shard() -> None:
    split = a_split("2026/a.jsonl.gz", 3)
    assert part_name(split, "parquet") == "2026/a.jsonl.gz-00003.parquet"
