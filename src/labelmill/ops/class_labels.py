"""Class labels: columns of numbers whose names stand beside them, as `datasets` writes them.

A file that `datasets` wrote says of each column what it is. A ClassLabel is a column of numbers and
the name of each; here the names are found and put in the place of the numbers.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

_KEY = b"huggingface"  # in the metadata of an Arrow schema
_LISTS = ("Sequence", "List", "LargeList")
Names = Mapping[str, tuple[str, ...]]  # by column, with dots into structs; in the order of numbers


def names_of(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Of every column of class labels, and of lists of them; {} where the file says nothing."""
    try:
        told = json.loads((schema.metadata or {})[_KEY])
        features = told["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return dict(_found(features, "")) if isinstance(features, dict) else {}


def named(column: pa.ChunkedArray, names: tuple[str, ...]) -> pa.ChunkedArray:
    """The JSON texts of a column with names for numbers; null where a number has none.

    What is no number, or no list with a number in it, stays as it is.
    """
    coded = column.combine_chunks().dictionary_encode()
    texts = [_named(text, names) for text in coded.dictionary.to_pylist()]
    return pa.chunked_array([pa.array(texts, column.type).take(coded.indices)])


def _found(features: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, feature in features.items():
        yield from _below(feature, prefix + name)


def _below(feature: Any, path: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    if isinstance(feature, list) and feature:  # a list, as earlier versions wrote it
        yield from _below(feature[0], path)
    elif isinstance(feature, dict):
        kind = feature.get("_type")
        if kind == "ClassLabel":
            yield path, tuple(map(str, feature.get("names") or ()))
        elif kind in _LISTS:
            yield from _below(feature.get("feature"), path)
        elif not isinstance(kind, str):
            yield from _found(feature, f"{path}.")


def _named(text: str | None, names: tuple[str, ...]) -> str | None:
    try:
        told = json.loads(text or "")
    except ValueError:
        return text
    if isinstance(told, list):
        found = [_name(one, names) for one in told]
        return None if None in found else json.dumps(found, ensure_ascii=False)
    if isinstance(told, int) and not isinstance(told, bool):
        name: str | None = _name(told, names)
        return name
    return text


def _name(number: Any, names: tuple[str, ...]) -> Any:
    if not isinstance(number, int) or isinstance(number, bool):
        return number
    return names[number] if 0 <= number < len(names) else None
