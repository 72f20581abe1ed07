"""Media of a split: paths made absolute, files fetched, and what is not there told."""

from pathlib import Path

import pyarrow as pa

from labelmill.ops.fields import MEDIA
from labelmill.splits import Rows
from labelmill.stages.media import fetched, located, told

KINDS = {"image": "media"}


def rows_of(*values, errors=None) -> Rows:
    count = len(values)
    return Rows(
        position=pa.chunked_array([pa.array(range(count), pa.int64())]),
        error=pa.chunked_array([pa.array(errors or [None] * count, pa.string())]),
        fields={
            "image": pa.chunked_array([pa.array(values, MEDIA)]),
            "text": pa.chunked_array([pa.array(["t"] * count, pa.large_string())]),
        },
        kept={},
    )


def test_paths_are_relative_to_the_directory_of_the_shard(tmp_path: Path):
    rows = rows_of(
        {"bytes": None, "path": "pictures/a.png"},
        {"bytes": None, "path": "/b.png"},
        {"bytes": None, "path": "s3://bucket/c.png"},
        {"bytes": b"d", "path": None},
        None,
    )
    found = located(rows, KINDS, str(tmp_path / "shard.parquet")).fields["image"].to_pylist()
    wanted = [str(tmp_path / "pictures/a.png"), "/b.png", "s3://bucket/c.png", None, None]
    assert [value and value["path"] for value in found] == wanted
    assert found[3]["bytes"] == b"d"


def test_paths_behind_a_url_lead_up_as_on_a_disk():
    paths = ["../a.png", "./b c#1.png", "x/../../c.png", "d//e.png", "s3://other/../f.png"]
    rows = rows_of(*({"bytes": None, "path": path} for path in paths))
    found = located(rows, KINDS, "s3://bucket/tables/shard.parquet").fields["image"].to_pylist()
    assert [value["path"] for value in found] == [
        "s3://bucket/a.png",
        "s3://bucket/tables/b c#1.png",
        "s3://bucket/c.png",
        "s3://bucket/tables/d//e.png",
        "s3://other/../f.png",
    ]


def test_files_are_fetched_and_absent_ones_make_their_rows_bad(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"content")
    there, absent = str(tmp_path / "a"), str(tmp_path / "b")
    rows = rows_of(
        {"bytes": None, "path": there},
        {"bytes": None, "path": absent},
        {"bytes": b"given", "path": absent},
        None,
        errors=[None, None, None, "field 'image' is null"],
    )
    found = fetched(rows, KINDS)
    assert found.fields["image"].to_pylist() == [b"content", None, b"given", None]
    assert found.fields["image"].type == pa.large_binary()
    reason = f"field 'image': there is no file {absent!r}"
    assert found.error.to_pylist() == [None, reason, None, "field 'image' is null"]
    paths = told(found, rows, KINDS).fields["image"].to_pylist()
    assert paths == [there, absent, absent, None]


def test_what_can_be_no_file_makes_its_row_bad(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "loop").symlink_to("loop")
    no_files = ["", "a/b", "nul\0", "loop", "data:" + "A" * 5000, "nowhere://x/y"]
    no_files += ["https://example.org/a::b/c.png", "http://[half"]
    rows = rows_of(*({"bytes": None, "path": path} for path in ["a", *no_files]))
    found = fetched(located(rows, KINDS, str(tmp_path / "shard.jsonl")), KINDS)
    assert found.fields["image"].to_pylist() == [b"content"] + [None] * len(no_files)
    good, *bad = found.error.to_pylist()
    assert good is None
    assert all("there is no file" in reason and len(reason) < 300 for reason in bad)


def test_rows_without_media_are_left_alone():
    rows = rows_of({"bytes": b"x", "path": None})
    assert fetched(rows, {}) is rows
    assert located(rows, {}, "/shard").fields == rows.fields
