"""The fields that a task asks of a JSON object, by names of columns; dots reach into objects."""

import json
from collections.abc import Callable, Mapping

from labelmill.ops.fields import Kind
from labelmill.ops.json_values import BadLine, encodable, kind

_MISSING = object()


def field_values(
    value: dict[str, object],
    fields: Mapping[str, str],
    optional: frozenset[str],
    kinds: Mapping[str, Kind],
) -> list[object] | BadLine:
    """One value a field, in order; null only for a field in `optional` that is missing or null.

    Text and JSON text are str, media {"bytes": None, "path": str}.
    """
    found: list[object] = []
    for name, column in fields.items():
        taken = _TAKERS[kinds.get(name, "text")](_find(value, column))
        text = _text(taken, column, optional=name in optional)
        if isinstance(text, BadLine):
            return text
        is_media = kinds.get(name) == "media" and text is not None
        found.append({"bytes": None, "path": text} if is_media else text)
    return found


def _as_json(found: object) -> object:
    """JSON text of what is there; a string is taken for JSON text already."""
    if found is None or found is _MISSING or isinstance(found, str | BadLine):
        return found
    return json.dumps(found, ensure_ascii=False)


def _as_path(found: object) -> object:
    """A path, also out of an object {"path": ...} as `datasets` writes it."""
    return found.get("path", _MISSING) if isinstance(found, dict) else found


def _as_it_is(found: object) -> object:
    return found


_TAKERS: Mapping[Kind, Callable[[object], object]] = {
    "text": _as_it_is,
    "json": _as_json,
    "media": _as_path,
}


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
