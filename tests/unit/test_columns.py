"""The output's schema: order, prefix, clashes."""

import pyarrow as pa
import pytest

from labelmill.errors import ConfigError
from labelmill.ops.columns import output_schema, refuse_lookalikes, refuse_partitions

KEPT = pa.schema([("id", pa.int64()), ("text", pa.string())])
ADDED = pa.schema([pa.field("label", pa.string(), nullable=False), ("score", pa.float32())])


def test_output_schema_puts_kept_first_then_added_position_error() -> None:
    found = output_schema(KEPT, ADDED, prefix="", position=True, error=True)
    assert found.names == ["id", "text", "label", "score", "position", "error"]
    assert found.field("position").type == pa.int64()
    assert found.field("error").type == pa.string()
    assert all(field.nullable for field in found)


def test_output_schema_without_position_and_error_has_neither() -> None:
    found = output_schema(KEPT, ADDED, prefix="", position=False, error=False)
    assert found.names == ["id", "text", "label", "score"]


def test_output_schema_prefixes_all_but_the_kept_columns() -> None:
    found = output_schema(KEPT, ADDED, prefix="m_", position=True, error=True)
    assert found.names == ["id", "text", "m_label", "m_score", "m_position", "m_error"]


def test_output_schema_keeps_what_the_kept_columns_carry() -> None:
    kept = pa.schema([pa.field("a", pa.string(), metadata={"labelmill": "json"})])
    found = output_schema(kept, ADDED, prefix="", position=False, error=False)
    assert found.field("a").equals(kept.field("a"), check_metadata=True)


@pytest.mark.parametrize("name", ["label", "position", "error"])
def test_output_schema_clash_with_a_kept_column_says_to_set_the_prefix(name: str) -> None:
    kept = pa.schema([(name, pa.int64())])
    with pytest.raises(ConfigError, match=rf"{name}.*set output\.prefix.*source\.keep"):
        output_schema(kept, ADDED, prefix="", position=True, error=True)
    assert output_schema(kept, ADDED, prefix="x_", position=True, error=True).names[0] == name


def test_output_schema_task_that_adds_a_position_clashes_with_ours() -> None:
    added = pa.schema([("position", pa.int64())])
    with pytest.raises(ConfigError, match="position"):
        output_schema(KEPT, added, prefix="", position=True, error=False)


def test_added_column_that_differs_in_case_alone_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'label' would be added.*'Label'.*output\.prefix"):
        refuse_lookalikes(["id", "Label"], ["label", "score"])
    refuse_lookalikes(["id", "Label"], ["m_label", "m_score"])


def test_added_column_that_readers_find_in_the_folders_is_refused() -> None:
    paths = ["y=1/a.parquet", "y=1/Label=2/b.parquet"]
    with pytest.raises(ConfigError, match=r"'label'.*'Label=2'.*output\.prefix"):
        refuse_partitions(paths, ["label", "score"])
    refuse_partitions([*paths, "score=1.parquet"], ["m_label", "score"])
