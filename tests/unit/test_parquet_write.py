"""Writing Parquet parts: the same bytes always, readable by everybody."""

from itertools import pairwise
from pathlib import Path

import datasets
import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelmill.errors import InputError
from labelmill.formats import parquet

PROVENANCE = {"model": "m@1", "task": "text-classification"}
SCORES = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float32())]))
TABLE = pa.table(
    {
        "id": pa.array([1, 2, None], pa.int64()),
        "text": pa.array(["a", None, "\u00e9"], pa.string()),
        "label": pa.array(["x", None, "y"], pa.string()),
        "score": pa.array([0.5, None, 1.0], pa.float32()),
        "scores": pa.array([[{"label": "x", "score": 0.5}], None, []], SCORES),
        "error": pa.array([None, "bad", None], pa.string()),
    }
)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    path = tmp_path / "part.parquet"
    path.write_bytes(parquet.write(TABLE, PROVENANCE))
    return path


def test_write_is_read_back_by_pyarrow_with_its_types(part: Path) -> None:
    assert pq.read_table(part).equals(TABLE)


def test_write_is_read_by_pandas(part: Path) -> None:
    frame = pd.read_parquet(part)
    assert list(frame.columns) == TABLE.column_names
    assert frame["label"].fillna("").tolist() == ["x", "", "y"]
    assert frame["scores"][0][0] == {"label": "x", "score": 0.5}


def test_write_is_read_by_duckdb(part: Path) -> None:
    found = duckdb.sql(f"select id, text, label, scores[1].label, error from '{part}'").fetchall()
    assert found == [
        (1, "a", "x", "x", None),
        (2, None, None, None, "bad"),
        (None, "\u00e9", "y", None, None),
    ]


def test_write_is_read_by_datasets(part: Path, tmp_path: Path) -> None:
    found = datasets.Dataset.from_parquet(str(part), cache_dir=str(tmp_path / "cache"))
    assert found["label"][:] == ["x", None, "y"]


def test_datasets_reads_a_part_without_rows_beside_others(part: Path, tmp_path: Path) -> None:
    """Its reader takes the size of the first row group for a batch, and refuses none at all."""
    empty = tmp_path / "empty.parquet"
    empty.write_bytes(parquet.write(TABLE.slice(0, 0), PROVENANCE))
    assert parquet.part_rows(empty.read_bytes()) == 0
    assert pq.read_table(empty).equals(TABLE.slice(0, 0))
    files = [str(empty), str(part)]
    found = datasets.Dataset.from_parquet(files, cache_dir=str(tmp_path / "cache"))
    assert found["label"][:] == ["x", None, "y"]
    assert found["scores"][0] == [{"label": "x", "score": 0.5}]


def test_write_has_provenance_compression_and_statistics(part: Path) -> None:
    metadata = pq.read_metadata(part)
    chunk = metadata.row_group(0).column(0)
    assert metadata.metadata[b"labelmill.model"] == b"m@1"
    assert metadata.metadata[b"labelmill.task"] == b"text-classification"
    assert metadata.metadata[b"ARROW:schema"]
    assert chunk.compression == "ZSTD"
    assert (chunk.statistics.min, chunk.statistics.max) == (1, 2)


def test_write_gives_checksums_that_tell_of_a_flipped_bit() -> None:
    data = bytearray(parquet.write(pa.table({"x": ["value"]}), {}))
    chunk = pq.read_metadata(pa.BufferReader(data)).row_group(0).column(0)
    data[chunk.dictionary_page_offset + chunk.total_compressed_size - 1] ^= 1
    with pytest.raises(OSError, match="CRC"):
        pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True).read()


@given(cuts=st.lists(st.integers(0, 3), max_size=3))
def test_write_gives_the_same_bytes_however_the_table_is_chunked(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), 3]
    pieces = [TABLE.slice(a, b - a) for a, b in pairwise(places)]
    chunked = pa.concat_tables(pieces)
    backwards = dict(reversed(PROVENANCE.items()))
    assert parquet.write(chunked, backwards) == parquet.write(TABLE, PROVENANCE)


def test_write_of_no_rows_keeps_the_schema(tmp_path: Path) -> None:
    data = parquet.write(TABLE.slice(0, 0), PROVENANCE)
    assert pq.read_table(pa.BufferReader(data)).schema.equals(TABLE.schema)
    assert parquet.part_rows(data) == 0
    (tmp_path / "p.parquet").write_bytes(data)
    assert duckdb.sql(f"select count(*) from '{tmp_path}/p.parquet'").fetchall() == [(0,)]


def test_write_makes_layouts_plain_that_few_can_read() -> None:
    table = pa.table(
        {
            "view": pa.array(["a", None], pa.string_view()),
            "codes": pa.array(["a", None]).dictionary_encode(),
            "large": pa.array(["a", None], pa.large_string()),
        }
    )
    found = pq.read_table(pa.BufferReader(parquet.write(table, {})))
    assert found.schema.types == [pa.large_string(), pa.string(), pa.large_string()]
    assert found.to_pylist() == table.to_pylist()


def test_write_cuts_row_groups_so_that_readers_can_work_in_parallel() -> None:
    data = parquet.write(pa.table({"x": pa.array(range(70_000))}), {})
    assert pq.read_metadata(pa.BufferReader(data)).num_row_groups == 2
    assert parquet.part_rows(data) == 70_000


def test_write_drops_metadata_of_the_input() -> None:
    table = pa.table({"x": [1]}).replace_schema_metadata({"pandas": "{}", "huggingface": "{}"})
    metadata = pq.read_metadata(pa.BufferReader(parquet.write(table, {"a": "b"}))).metadata
    assert set(metadata) == {b"ARROW:schema", b"labelmill.a"}


def test_write_of_a_type_that_parquet_does_not_have_is_refused() -> None:
    spans = pa.array([None], pa.month_day_nano_interval())  # of an Arrow file
    with pytest.raises(InputError, match=r"month_day_nano_interval.*leave it out of source\.keep"):
        parquet.write(pa.table({"text": ["a"], "span": spans}), PROVENANCE)
