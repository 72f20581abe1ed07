"""The texts that a task asks of a JSON object, by the names of columns; dots reach into objects."""

from collections.abc import Mapping

from labelmill.ops.json_values import BadLine, encodable, kind

_MISSING = object()


def texts(
    value: dict[str, object], fields: Mapping[str, str], optional: frozenset[str]
) -> list[str | None] | BadLine:
    """One text a field, in order; null only for a field in `optional` that is missing or null."""
    found: list[str | None] = []
    for name, column in fields.items():
        text = _text(_find(value, column), column, optional=name in optional)
        if isinstance(text, BadLine):
            return text
        found.append(text)
    return found


def _find(value: dict[str, object], path: str) -> object:
    """The value at a path; a key that is the whole path goes before the way through objects."""
    if path in value:
        return value[path]
    head, dot, rest = path.partition(".")
    inner = value.get(head)
    if not dot or inner is None:
        return _MISSING
    if not isinstance(inner, dict):
        return BadLine(reason=f"{head!r} is {kind(inner)}, expected an object")
    return _find(inner, rest)


def _text(found: object, column: str, *, optional: bool) -> str | BadLine | None:
    if isinstance(found, str):
        return found if encodable(found) else BadLine(reason=f"field {column!r}: lone surrogate")
    if isinstance(found, BadLine):
        return BadLine(reason=f"field {column!r}: {found.reason}")
    if optional and (found is None or found is _MISSING):
        return None
    what = "missing" if found is _MISSING else f"found {kind(found)}"
    return BadLine(reason=f"field {column!r}: {what}, expected a string")
