"""Reference tables: settings as tables in Markdown."""

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic.fields import FieldInfo

from labelmill.config.section import Section
from labelmill.config.wording import Schema, resolved, words


def table(section: type[Section], without: Mapping[str, object] | None = None) -> str:
    """A row for each setting of the section, but for those in `without`."""
    root = section.model_json_schema()
    rows = [
        _row(name, field, _kind(root["properties"][name], root))
        for name, field in section.model_fields.items()
        if name not in (without or {})
    ]
    return "\n".join(["| key | type | default | meaning |", "| --- | --- | --- | --- |", *rows, ""])


def listed(told: Mapping[str, str]) -> str:
    """Rows of two cells: a name, and what is said of it."""
    return "".join(f"| `{name}` | {said} |\n" for name, said in told.items())


def shown(value: Any) -> str:
    """A value as it may stand in a job file."""
    return value if isinstance(value, str) and value else json.dumps(value)


def _row(name: str, field: FieldInfo, kind: str) -> str:
    cells = (f"`{name}`", kind, _default(field), field.description or "")
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _kind(schema: Schema, root: Schema) -> str:
    return re.sub(r"'([^']*)'", r"`\1`", words(resolved(schema, root)))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory_takes_validated_data:
        return "depends"
    value: Any = field.get_default(call_default_factory=True)
    return f"`{shown(value)}`"
