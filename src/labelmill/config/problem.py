"""Problem: one thing that is wrong with a job, where it is, and what would be right.

Turns pydantic's errors, which speak of types and union members, into the words of the job file: one
problem a setting. Which file or command line a setting came from is not known here.
"""

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import override

from labelmill.config.nearness import near_miss
from labelmill.config.section import Section
from labelmill.config.wording import Schema, kinds, resolved, words

# A schema says all there is to these; every other error has more to say than its schema.
_SAID_BY_SCHEMA = frozenset(
    {
        "literal_error",
        "int_from_float",
        "finite_number",
        "greater_than_equal",
        "greater_than",
        "less_than_equal",
        "less_than",
        "too_short",
        "string_too_short",
        "byte_size",
        "byte_size_unit",
    }
)
Path = tuple[int | str, ...]
_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with the setting at `path`; an empty path is the job as a whole."""

    path: Path
    message: str

    @override
    def __str__(self) -> str:
        """Such as "source.path[1]: input should be text (got 3)"."""
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        name = "".join(steps).removeprefix(".")
        return f"{name}: {self.message}" if name else self.message


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    path: Path
    schema: Schema
    value: object


def problems(error: ValidationError, model: type[Section], settings: object) -> list[Problem]:
    """The problems behind an error of validating `settings` as `model`, one a setting."""
    root = model.model_json_schema()
    found: dict[Path, tuple[_Setting, list[ErrorDetails]]] = {}
    for detail in error.errors():
        # Follows from another error: a default that depends on the setting that is wrong.
        if detail["type"] != "default_factory_not_called":
            setting = _locate(detail["loc"], root, settings)
            found.setdefault(setting.path, (setting, []))[1].append(detail)
    return [
        Problem(path=path, message=_message(setting, details, root))
        for path, (setting, details) in found.items()
    ]


def _locate(loc: Sequence[int | str], root: Schema, settings: object) -> _Setting:
    """Follows `loc` as long as it names settings; behind them it names members of a union."""
    here = _Setting(path=(), schema=root, value=settings)
    for key in loc:
        inner = _inside(here, key, root)
        if inner is None:
            break
        here = inner
    return here


def _inside(setting: _Setting, key: int | str, root: Schema) -> _Setting | None:
    value = setting.value
    if isinstance(key, int):
        if "items" in setting.schema and isinstance(value, list):
            items = resolved(setting.schema["items"], root)
            return _Setting(path=(*setting.path, key), schema=items, value=value[key])
        return None
    mapping = _mapping(setting.schema, root)
    known = mapping.get("properties", {}).get(key)
    given = isinstance(value, dict) and key in value
    if known is None and not given:
        return None
    schema = known or mapping.get("additionalProperties") or {}
    inner = value[key] if isinstance(value, dict) and given else None
    return _Setting(path=(*setting.path, key), schema=resolved(schema, root), value=inner)


def _mapping(schema: Schema, root: Schema) -> Schema:
    """The one of its alternatives that has settings of its own; where none has, the schema."""
    alternatives = (resolved(kind, root) for kind in kinds(schema))
    return next((one for one in alternatives if "properties" in one), schema)


def _message(setting: _Setting, details: Sequence[ErrorDetails], root: Schema) -> str:
    for detail in details:
        match detail["type"]:
            case "extra_forbidden":
                return f"no such setting; {near_miss(setting.path, root)}"
            case "missing":
                return f"required; set it to {words(setting.schema)}"
            case "value_error":
                return str(detail["ctx"]["error"])
            case kind if kind not in _SAID_BY_SCHEMA and not kind.endswith("_type"):
                said = detail["msg"][0].lower() + detail["msg"][1:]
                return f"{said} (got {_repr.repr(setting.value)})"
    return (
        f"input should be {words(setting.schema)} (got {_repr.repr(setting.value)}){_hint(setting)}"
    )


def _hint(setting: _Setting) -> str:
    # YAML decides by its looks whether a value is text, a number or a mapping.
    free = [kind for kind in kinds(setting.schema) if not kind.keys() & {"const", "enum"}]
    types = {kind.get("type") for kind in free}
    value = setting.value
    if value in ("", []) and any(kind.keys() & {"minLength", "minItems"} for kind in free):
        return "; it must not be empty"
    if "string" in types and isinstance(value, bool | int | float):
        return "; put it in quotes"
    if "string" in types and "object" not in types and isinstance(value, dict):
        return "; put text with ': ' in it in quotes"
    if _lists_text(free) and isinstance(value, list) and any(map(_unquoted, value)):
        return "; put each in quotes"
    if types & {"integer", "number"} and isinstance(value, str) and _is_number(value):
        return "; write it without quotes"
    return ""


def _lists_text(alternatives: Sequence[Schema]) -> bool:
    return any(kind.get("items", {}).get("type") == "string" for kind in alternatives)


def _unquoted(value: object) -> bool:
    """Whether it may have been meant for text, as yes, no and 1 are."""
    return isinstance(value, bool | int | float)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
