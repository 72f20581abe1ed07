"""Wording: what a setting may be, in words, from its JSON schema.

The reference page and the error messages say it with the same words.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labelmill.config.values import WORDS

Schema = Mapping[str, Any]
_PLAIN = {
    "integer": "an integer",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
}


def words(schema: Schema) -> str:
    """What a value may be, such as "'auto' or an integer of at least 1"."""
    return either([word for kind in kinds(schema) for word in _kind(kind)])


def kinds(schema: Schema) -> Iterator[Schema]:
    """The alternatives of a schema, flat; the schema itself where it has none."""
    if "anyOf" not in schema:
        yield schema
    for alternative in schema.get("anyOf", ()):
        yield from kinds(alternative)


def resolved(schema: Schema, root: Schema) -> Schema:
    """The schema itself, or the definition in `root` that it refers to."""
    reference = schema.get("$ref")
    return root["$defs"][reference.rpartition("/")[2]] if reference else schema


def _kind(schema: Schema) -> list[str]:
    if WORDS in schema:
        return [schema[WORDS]]
    if "const" in schema:
        return [repr(schema["const"])]
    if "enum" in schema:
        return [repr(value) for value in schema["enum"]]
    if schema.get("$ref", "").endswith("/JsonValue"):
        return ["any value"]
    return [_typed(schema)]


def _typed(schema: Schema) -> str:
    match schema.get("type"):
        case str(kind) if kind in _PLAIN:
            return _PLAIN[kind] + _bounds(schema)
        case "array":
            return f"a list of {words(schema.get('items', {'type': 'string'}))}"
        case _:
            inner = schema.get("additionalProperties")
            held = f"names to {words(inner)}" if isinstance(inner, Mapping) else "settings"
            return f"a mapping of {held}"


def _bounds(schema: Schema) -> str:
    bounds = {
        "minimum": "of at least",
        "exclusiveMinimum": "above",
        "maximum": "of at most",
        "exclusiveMaximum": "below",
    }
    if {"minimum", "maximum"} <= schema.keys():
        return f" from {schema['minimum']} to {schema['maximum']}"
    said = [f"{word} {schema[key]}" for key, word in bounds.items() if key in schema]
    return " " + " and ".join(said) if said else ""


def either(alternatives: Sequence[str]) -> str:
    """The alternatives in a sentence: a, b or c."""
    *first, last = alternatives
    return f"{', '.join(first)} or {last}" if first else last
