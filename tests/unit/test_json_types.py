"""Types of JSON values: inferred from a sample, unified across shards."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelmill.ops.json_types import (
    children,
    holds_json_text,
    infer,
    is_json_text,
    json_text,
    unify,
)
from labelmill.ops.json_values import loads


def inferred(*values: str) -> pa.Field:
    schema = infer([{"x": loads(value)} for value in values])
    return schema.field("x")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["null"], pa.null()),
        (["null", "true"], pa.bool_()),
        (["1", "-9223372036854775808"], pa.int64()),
        (["1", "0.5", "9007199254740992"], pa.float64()),
        (["NaN", "Infinity"], pa.float64()),
        (['"00123"', '"2024-01-01"'], pa.string()),
        (["[]"], pa.list_(pa.null())),
        (["[1, null]", "[2.5]"], pa.list_(pa.float64())),
        (['{"b": 1}', '{"a": null}', "{}"], pa.struct([("b", pa.int64()), ("a", pa.null())])),
        (['[{"a": [1]}]'], pa.list_(pa.struct([("a", pa.list_(pa.int64()))]))),
    ],
)
def test_infer_values_that_agree_have_their_type(values: list[str], expected: pa.DataType) -> None:
    assert inferred(*values).type == expected
    assert not is_json_text(inferred(*values))


@pytest.mark.parametrize(
    "values",
    [
        ["1", '"1"'],
        ["9223372036854775808"],
        ["9" * 5000],
        ["1e999"],
        ["0.5", "9007199254740993"],
        ["true", "1"],
        ["[1]", "1"],
        ['[1, "1"]'],
        ["{}"],
        ["[{}]"],
        ['{"a": 1}', "[1]"],
        ["{" + ", ".join(f'"{key}": 1' for key in range(101)) + "}"],
        [f'{{"{key}": 1}}' for key in range(101)],
        ['{"a": 1, "\\ud800": 1}'],
        ['[{"\\udfff": 1}]'],
    ],
)
def test_infer_values_that_disagree_are_json_text(values: list[str]) -> None:
    assert is_json_text(inferred(*values))


def test_infer_disagreement_inside_an_object_stays_inside() -> None:
    field = inferred('{"a": 1, "b": [1, "x"], "c": {"d": 1}}', '{"a": "x", "c": {"d": true}}')
    a, b, c = (field.type.field(name) for name in "abc")
    assert [is_json_text(one) for one in (field, a, b, c, c.type.field("d"))] == [
        False, True, True, False, True,
    ]  # fmt: skip


def test_infer_columns_come_in_order_of_appearance() -> None:
    assert infer([{"b": 1}, {"c": 1, "a": 1}, {"b": None}]).names == ["b", "c", "a"]
    assert infer([]).names == []


def test_infer_leaves_out_a_name_that_is_not_utf8() -> None:
    assert infer([{"a": 1, "b\ud800": 2}, {"b\ud800": None}]).names == ["a"]


def nested(levels: int, opening: str, closing: str) -> str:
    return opening * levels + "1" + closing * levels


@pytest.mark.parametrize("levels", [31, 32])
def test_infer_nests_as_deep_as_32_levels(levels: int) -> None:
    for value in (nested(levels, "[", "]"), nested(levels, '{"a": ', "}")):
        assert depth(inferred(value)) == levels
        assert not holds_json_text(inferred(value))


@pytest.mark.parametrize("levels", [33, 70, 199])
def test_infer_what_lies_deeper_than_32_levels_is_json_text(levels: int) -> None:
    objects, mixed = inferred(nested(levels, '{"a": ', "}")), nested(levels // 2, '[{"a": ', "}]")
    assert is_json_text(inferred(nested(levels, "[", "]")))
    assert (depth(objects), holds_json_text(objects)) == (32, True)
    assert depth(inferred(f"[{mixed}]")) <= 32


def depth(field: pa.Field) -> int:
    inner = children(field.type)
    return 1 + max(map(depth, inner)) if inner else 0


@pytest.mark.parametrize("levels", [33, 70, 199])
def test_unify_does_not_nest_deeper_than_32_levels(levels: int) -> None:
    deep = inferred(nested(levels, '{"a": ', "}"))
    for other in ('{"b": [[1]]}', "null", nested(20, '{"a": ', "}"), nested(31, '{"a": ', "}")):
        for joined in (unify(deep, inferred(other)), unify(inferred(other), deep)):
            assert depth(joined) <= 32


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False), st.text("ab")
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3),
    ),
    max_leaves=8,
)
FIELDS = st.lists(VALUES, min_size=1, max_size=3).map(
    lambda values: infer([{"x": value} for value in values]).field("x")
)


def tree(field: pa.Field) -> Any:
    """A field as plain values, marks included, order of members aside."""
    kind = field.type
    if is_json_text(field):
        return "json"
    if pa.types.is_struct(kind):
        return {child.name: tree(child) for child in kind.fields}
    return [tree(kind.value_field)] if pa.types.is_list(kind) else str(kind)


@given(FIELDS, FIELDS, FIELDS)
def test_unify_is_a_join(one: pa.Field, other: pa.Field, third: pa.Field) -> None:
    assert tree(unify(one, one)) == tree(one)
    assert tree(unify(one, other)) == tree(unify(other, one))
    assert tree(unify(unify(one, other), third)) == tree(unify(one, unify(other, third)))


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_unify_of_samples_is_what_all_together_would_give(values: list[Any]) -> None:
    fields = [infer([{"x": value}]).field("x") for value in values]
    joined = fields[0]
    for field in fields[1:]:
        joined = unify(joined, field)
    assert tree(joined) == tree(infer([{"x": value} for value in values]).field("x"))


def test_unify_keeps_the_first_name_and_refuses_nothing() -> None:
    assert unify(pa.field("a", pa.string()), pa.field("b", pa.int64())).name == "a"
    assert is_json_text(unify(json_text("a"), pa.field("a", pa.null())))
    assert is_json_text(unify(pa.field("a", pa.date32()), pa.field("a", pa.string())))
