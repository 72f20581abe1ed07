"""Section: the base of every group of settings, the tasks' own options among them.

A section is frozen, refuses keys it does not know, and converts nothing silently: "4" is not 4.
Only an int where a float is due is fine, as in YAML. A list in YAML becomes a tuple where the field
says so with `labelmill.config.values.Texts`.
"""

from typing import Self

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings; every field has a type, a default if one makes sense, and a sentence."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
    )

    def begun(self, day: str) -> Self:
        """The same for a run that began on that day, YYYY-MM-DD, where days make a difference."""
        del day
        return self


def subsections(model: type[Section]) -> dict[str, type[Section]]:
    """The sections that a section is made of, by name."""
    kinds = {name: field.annotation for name, field in model.model_fields.items()}
    return {
        name: kind
        for name, kind in kinds.items()
        if isinstance(kind, type) and issubclass(kind, Section)
    }
