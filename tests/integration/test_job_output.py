"""What a job leaves behind, read back as its users read it. The whole chain but Ray."""

import gzip
import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from labelmill import verification
from labelmill.errors import ConfigError, InputError, RowRefused
from labelmill.tasks.text_classification import TextClassification
from tests.support import inline
from tests.support.labelling import label as reference
from tests.support.models import tiny_classifier

TEXTS = [f"the cat sat on mat {i}" * (1 + i % 5) for i in range(57)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_classifier(str(tmp_path_factory.mktemp("model") / "bert"))


def settings(tmp_path: Path, model: str, **sections: Mapping[str, Any]) -> dict[str, Any]:
    base: dict[str, dict[str, Any]] = {
        "model": {"path": model, "precision": "float32"},
        "source": {"path": str(tmp_path / "in"), "split_rows": 10},
        "output": {"path": str(tmp_path / "out"), "max_rejected": 1.0},
        "options": {},
    }
    for name, values in sections.items():
        base[name] |= values
    return {"task": "text-classification", **base}


def run(tmp_path: Path, model: str, **sections: Mapping[str, Any]) -> Any:
    return inline.label(inline.job_of(tmp_path, settings(tmp_path, model, **sections)))


def parquet_shard(tmp_path: Path, name: str = "a.parquet", **columns: Any) -> Path:
    path = tmp_path / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def lines_shard(tmp_path: Path, lines: list[bytes], name: str = "a.jsonl") -> Path:
    path = tmp_path / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = b"".join(line + b"\n" for line in lines)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def output(tmp_path: Path) -> pa.Table:
    """All parts in the order of their names."""
    paths = sorted((tmp_path / "out").rglob("*.parquet"))
    return pa.concat_tables([pq.read_table(path) for path in paths])


def json_lines(tmp_path: Path) -> list[bytes]:
    paths = sorted((tmp_path / "out").rglob("*.jsonl"))
    return [line for path in paths for line in path.read_bytes().splitlines()]


def test_labels_equal_those_of_the_model_alone_in_the_order_of_the_rows(
    tmp_path: Path, model: str
) -> None:
    parquet_shard(tmp_path, id=list(range(57)), text=TEXTS)

    status = run(tmp_path, model)

    expected = reference(model, TextClassification(), {"text": TEXTS}, TextClassification.Options())
    got = output(tmp_path)
    assert (status.complete, status.splits, status.rows_labelled) == (True, 6, 57)
    assert got["id"].to_pylist() == list(range(57))
    assert got["text"].to_pylist() == TEXTS
    assert got["label"].to_pylist() == expected["label"].to_pylist()
    np.testing.assert_allclose(got["score"].to_numpy(), expected["score"].to_numpy(), atol=1e-6)
    assert verification.verify(str(tmp_path / "out"), source=True).ok


def test_parts_carry_provenance_and_nothing_that_differs_between_attempts(
    tmp_path: Path, model: str
) -> None:
    parquet_shard(tmp_path, text=TEXTS)

    run(tmp_path, model)
    run(tmp_path, model, output={"path": str(tmp_path / "again")})

    first, again = (sorted((tmp_path / d).rglob("*.parquet")) for d in ("out", "again"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    told = {k.decode(): v.decode() for k, v in pq.read_metadata(first[0]).metadata.items()}
    assert told["labelmill.model"] == model
    assert told["labelmill.task"] == "text-classification"
    assert told["labelmill.precision"] == "float32"
    assert len(told["labelmill.fingerprint"]) == len(told["labelmill.model_digest"]) == 64
    assert told["labelmill.version"]
    assert told["labelmill.revision"] == ""


def test_output_is_read_by_pandas_datasets_duckdb_and_pyarrow_as_it_lies(
    tmp_path: Path, model: str
) -> None:
    import datasets
    import duckdb
    import pandas as pd

    parquet_shard(tmp_path, "y=1/a.parquet", id=list(range(20)), text=TEXTS[:20])
    parquet_shard(tmp_path, "y=2/b.parquet", id=list(range(20, 57)), text=TEXTS[20:])
    out = str(tmp_path / "out")

    run(tmp_path, model)

    ids = list(range(57))
    assert sorted(pd.read_parquet(out)["id"]) == ids
    assert set(pd.read_parquet(out)["y"].astype(int)) == {1, 2}
    loaded = datasets.load_dataset(out, split="train", cache_dir=str(tmp_path / "cache"))
    assert sorted(loaded["id"]) == ids
    assert set(loaded.column_names) >= {"id", "text", "label"}
    rows = duckdb.sql(f"select id, y from read_parquet('{out}/**/*.parquet')").fetchall()
    assert sorted(rows) == [(i, 1 if i < 20 else 2) for i in ids]
    table = pyarrow.dataset.dataset(out, partitioning="hive").to_table()
    assert sorted(table["id"].to_pylist()) == ids


def test_json_lines_output_is_read_by_datasets_and_duckdb_as_it_lies(
    tmp_path: Path, model: str
) -> None:
    import datasets
    import duckdb

    lines_shard(tmp_path, [json.dumps({"id": i, "text": t}).encode() for i, t in enumerate(TEXTS)])
    out = str(tmp_path / "out")

    run(tmp_path, model, output={"format": "jsonl"})

    loaded = datasets.load_dataset(out, split="train", cache_dir=str(tmp_path / "cache"))
    assert sorted(loaded["id"]) == list(range(57))
    assert duckdb.sql(f"select count(label) from '{out}/*.jsonl'").fetchall() == [(57,)]


def test_json_lines_to_json_lines_keep_every_other_byte(tmp_path: Path, model: str) -> None:
    raw = [
        b'{"id": 9007199254740993, "text":"a cat" ,  "x": 1.10, "u": "\\u00e9\xc3\xa9/"}',
        b'{"text": "the mat", "big": 123456789012345678901234567890, "n": null}',
        b'{"deep": {"a": [1, {"b": NaN}]}, "text": "sat"}',
    ]
    lines_shard(tmp_path, raw, "a.jsonl.gz")

    run(tmp_path, model, output={"format": "jsonl"})

    got = json_lines(tmp_path)
    assert len(got) == 3
    for line, before in zip(got, raw, strict=True):
        assert line.startswith(before[:-1])
        added = json.loads(line)
        assert set(added) - set(json.loads(before)) == {"label", "score"}
        assert 0 < added["score"] <= 1


def test_json_lines_to_parquet_lose_no_field(tmp_path: Path, model: str) -> None:
    big = (
        b'{"text": "cat", "id": "00123", "n": 12345678901234567890123, "d": "2024-01-01T00:00:00"}'
    )
    lines_shard(tmp_path, [big, b'{"text": "mat", "f": 0.1, "deep": {"a": [1, 2]}}'])

    run(tmp_path, model)

    got = output(tmp_path).to_pylist()
    assert got[0]["id"] == "00123"
    assert got[0]["d"] == "2024-01-01T00:00:00"
    assert got[0]["n"] == "12345678901234567890123"
    assert got[1]["f"] == 0.1
    assert got[1]["deep"] == {"a": [1, 2]}


def test_one_mistyped_text_is_a_reject_and_changes_no_good_row(tmp_path: Path, model: str) -> None:
    lines_shard(tmp_path, [b'{"text": "cat"}', b'{"text": 17}', b'{"text": "mat"}'])
    parquet_shard(tmp_path, "b.parquet", text=["sat"])

    status = run(tmp_path, model)

    assert output(tmp_path)["text"].to_pylist() == ["cat", "mat", "sat"]
    assert (status.rows_rejected, status.complete) == (1, True)


def test_column_that_is_not_used_may_have_any_types(tmp_path: Path, model: str) -> None:
    parquet_shard(tmp_path, "a.parquet", text=["cat"], odd=[1])
    parquet_shard(tmp_path, "b.parquet", text=["mat"], odd=["x"])

    status = run(tmp_path, model, source={"keep": ["text"]})

    assert status.rows_labelled == 2


def test_keep_none_is_row_aligned_with_the_source_bad_rows_included(
    tmp_path: Path, model: str
) -> None:
    texts = [None if i % 7 == 3 else t for i, t in enumerate(TEXTS)]
    parquet_shard(tmp_path, id=list(range(57)), text=texts)

    status = run(tmp_path, model, source={"keep": "none"}, output={"position": True})

    got = output(tmp_path)
    assert got.column_names == ["label", "score", "position", "error"]
    assert got["position"].to_pylist() == list(range(57))
    bad = [i for i in range(57) if i % 7 == 3]
    assert [i for i, e in enumerate(got["error"].to_pylist()) if e is not None] == bad
    assert [i for i, e in enumerate(got["label"].to_pylist()) if e is None] == bad
    assert (status.rows_rejected, status.rows_labelled) == (len(bad), 57 - len(bad))
    assert verification.verify(str(tmp_path / "out"), source=True).ok


def test_keep_names_carries_these_columns_alone(tmp_path: Path, model: str) -> None:
    parquet_shard(tmp_path, id=[1], text=["cat"], other=["x"])

    run(tmp_path, model, source={"keep": ["id"]})

    assert output(tmp_path).column_names == ["id", "label", "score"]


def test_on_bad_row_null_of_json_lines_keeps_what_is_an_object(tmp_path: Path, model: str) -> None:
    lines_shard(tmp_path, [b'{"text": "cat"}', b'{"text": 5, "id": 7}', b"{broken"])

    run(tmp_path, model, source={"on_bad_row": "null"}, output={"format": "jsonl"})

    good, object_, broken = (json.loads(line) for line in json_lines(tmp_path))
    assert good["label"]
    assert good["error"] is None
    assert object_["id"] == 7
    assert object_["label"] is None
    assert "number" in object_["error"]
    assert broken["label"] is None
    assert "JSON" in broken["error"]


def test_on_bad_row_fail_stops_naming_the_row(tmp_path: Path, model: str) -> None:
    parquet_shard(tmp_path, text=["cat", None])

    with pytest.raises(RowRefused, match=r"'a\.parquet', position 1: field 'text'.*bad_row.*new"):
        run(tmp_path, model, source={"on_bad_row": "fail"})


def test_prefix_and_position_name_the_added_columns(tmp_path: Path, model: str) -> None:
    parquet_shard(tmp_path, text=["cat"], label=["mine"])

    run(tmp_path, model, output={"prefix": "m_", "position": True})

    assert output(tmp_path).column_names == ["text", "label", "m_label", "m_score", "m_position"]


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "case", "folder"])
def test_clash_of_an_added_column_with_a_kept_one_is_refused_before_the_start(
    tmp_path: Path, model: str, kind: str
) -> None:
    if kind == "jsonl":
        lines_shard(tmp_path, [b'{"text": "cat", "label": "mine"}'])
    elif kind == "folder":
        parquet_shard(tmp_path, "label=mine/a.parquet", text=["cat"])
    else:
        name = "Label" if kind == "case" else "label"
        parquet_shard(tmp_path, **{"text": ["cat"], name: ["mine"]})

    with pytest.raises(ConfigError, match=r"'label'.*output\.prefix"):
        run(tmp_path, model, output={"format": "jsonl" if kind == "jsonl" else "parquet"})

    assert not (tmp_path / "out" / "_labelmill").exists()


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_column_that_no_part_can_hold_is_refused_before_the_start(
    tmp_path: Path, model: str, kind: str
) -> None:
    span = pa.array([None], pa.month_day_nano_interval())
    table = pa.table({"text": ["cat"], "span": span})
    path = tmp_path / "in" / "a.arrow"
    path.parent.mkdir()
    with pa.ipc.new_stream(path, table.schema) as stream:
        stream.write_table(table)

    with pytest.raises(InputError, match=r"no form for.*month_day_nano_interval"):
        run(tmp_path, model, output={"format": kind})

    assert not (tmp_path / "out" / "_labelmill").exists()


def test_reject_text_false_keeps_place_and_reason_alone(tmp_path: Path, model: str) -> None:
    from labelmill.ledger.status import rejects_of

    lines_shard(tmp_path, [b'{"text": "cat"}', b'{"text": 5, "secret": "s"}'])

    run(tmp_path, model, output={"reject_text": False})

    (placed,) = rejects_of(str(tmp_path / "out"))
    assert placed.reject.text is None
    assert placed.reject.position == 16
    assert "field 'text'" in placed.reject.reason


def test_columns_bind_fields_to_nested_columns_and_pairs(tmp_path: Path, model: str) -> None:
    bodies = [{"body": text, "title": "t"} for text in TEXTS[:5]]
    parquet_shard(tmp_path, review=bodies, second=["mat", None, "sat", "", "cat"])
    columns = {"text": "review.body", "text_pair": "second"}

    run(tmp_path, model, source={"columns": columns})

    pair = {"text": TEXTS[:5], "text_pair": ["mat", None, "sat", "", "cat"]}
    expected = reference(model, TextClassification(), pair, TextClassification.Options())
    got = output(tmp_path)
    assert got["review"].to_pylist() == bodies
    np.testing.assert_allclose(got["score"].to_numpy(), expected["score"].to_numpy(), atol=1e-6)


def test_column_that_is_not_there_is_refused_with_the_near_miss(tmp_path: Path, model: str) -> None:
    parquet_shard(tmp_path, body_text=["cat"])

    with pytest.raises(
        ConfigError, match=r"no shard has a column 'bodytext'; did you mean 'body_text'"
    ):
        run(tmp_path, model, source={"columns": {"text": "bodytext"}})


def test_scores_all_lists_every_label(tmp_path: Path, model: str) -> None:
    parquet_shard(tmp_path, text=["cat", "mat"])

    run(tmp_path, model, options={"scores": "all"})

    for row in output(tmp_path).to_pylist():
        assert len(row["scores"]) == 3
        assert row["scores"][0]["label"] == row["label"]
        assert sum(item["score"] for item in row["scores"]) == pytest.approx(1, abs=1e-5)


def test_shards_whose_schemas_differ_go_into_one(tmp_path: Path, model: str) -> None:
    parquet_shard(tmp_path, "a.parquet", id=pa.array([1], pa.int32()), text=["cat"])
    parquet_shard(tmp_path, "b.parquet", text=["mat"], id=pa.array([2**40], pa.int64()), more=[1.5])

    run(tmp_path, model)

    got = output(tmp_path)
    assert got.schema.field("id").type == pa.int64()
    assert got.to_pylist()[0]["more"] is None
    assert got["id"].to_pylist() == [1, 2**40]


def test_shards_whose_columns_conflict_are_refused_naming_both(tmp_path: Path, model: str) -> None:
    parquet_shard(tmp_path, "a.parquet", id=[1], text=["cat"])
    parquet_shard(tmp_path, "b.parquet", id=["x"], text=["mat"])

    with pytest.raises(InputError, match=r"a\.parquet.*b\.parquet"):
        run(tmp_path, model)


def test_parquet_and_json_lines_go_into_one_run(tmp_path: Path, model: str) -> None:
    parquet_shard(tmp_path, "a.parquet", id=[1], text=["cat"])
    lines_shard(tmp_path, [b'{"id": 2, "text": "mat"}'], "b.jsonl.gz")
    lines_shard(tmp_path, [b'{"id": 3, "text": "sat"}'], "c.JSON")

    status = run(tmp_path, model)

    assert output(tmp_path)["id"].to_pylist() == [1, 2, 3]
    assert status.shards == 3


def test_columns_of_types_that_json_has_not_go_into_one_run_with_json_lines(
    tmp_path: Path, model: str
) -> None:
    day = pa.array([date(2026, 1, 31)])
    count, word = pa.array([1], pa.int32()), pa.array(["k"], pa.large_string())
    parquet_shard(tmp_path, "a.parquet", text=["cat"], day=day, count=count, word=word)
    lines_shard(tmp_path, [b'{"text": "mat", "word": "j"}', b'{"text": "sat"}'], "b.jsonl")

    status = run(tmp_path, model)

    assert status.complete
    found = output(tmp_path).select(["day", "count", "word"]).to_pylist()
    assert found == [
        {"day": date(2026, 1, 31), "count": 1, "word": "k"},
        {"day": None, "count": None, "word": "j"},
        {"day": None, "count": None, "word": None},
    ]


def test_label_is_the_same_whatever_the_budget_and_the_split(tmp_path: Path, model: str) -> None:
    parquet_shard(tmp_path, text=TEXTS)
    tables = []

    for number, (rows, budget) in enumerate([(1, 16), (7, 64), (100, 4096)]):
        path = str(tmp_path / f"out{number}")
        changed = settings(tmp_path, model, source={"split_rows": rows}, output={"path": path}) | {
            "resources": {"microbatch_tokens": budget}
        }
        inline.label(inline.job_of(tmp_path, changed))
        parts = sorted(Path(path).glob("*.parquet"))
        assert len(parts) == -(-57 // rows)
        tables.append(pa.concat_tables([pq.read_table(part) for part in parts]))

    for table in tables[1:]:
        assert table["label"].equals(tables[0]["label"])
        np.testing.assert_allclose(
            table["score"].to_numpy(), tables[0]["score"].to_numpy(), atol=1e-5
        )
