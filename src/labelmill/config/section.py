"""Base of every section of a job file, the tasks' own options among them.

A section is frozen, refuses keys it does not know, and converts nothing silently: "4" is not 4.
An int where a float is due is fine, as in YAML.
"""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings; every field has a type, a default where one makes sense, and a sentence."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        protected_namespaces=(),
    )
