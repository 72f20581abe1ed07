"""The `source` section: which shards, which columns of them, and what to do with bad input."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from labelmill.config.section import Section
from labelmill.config.values import Auto, Count, Size, SourceFormat, Text, Texts

BadRow = Literal["reject", "null", "fail"]


def listed(value: object) -> object:
    """One text as a list of one."""
    return (value,) if isinstance(value, str) else value


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the column {name!r} is listed twice")
    return names


def _unquoted_null(value: object) -> object:
    # `on_bad_row: null` is how everybody writes it, and YAML reads no text there.
    return "null" if value is None else value


def _bad_row(settings: dict[str, Any]) -> BadRow:
    # A label-only output must stay row-aligned with its source, or its labels belong to nothing.
    return "null" if settings.get("keep") == "none" else "reject"


class SourceSection(Section):
    """The rows to label."""

    path: Annotated[Texts, BeforeValidator(listed, json_schema_input_type=Text | Texts)] = Field(
        description="File, directory, glob, or a list of them; local or behind a URL. "
        "A relative path starts at the current directory."
    )
    format: SourceFormat = Field(
        default="auto",
        description="Format of the shards; `auto` goes by the suffix and checks the content. "
        "`imagefolder` and `audiofolder` have to be named.",
    )
    columns: Mapping[str, Text] = Field(
        default_factory=dict,
        description="The task's fields, and the column each is read from; dots reach into structs. "
        "A field that is left out is read from the column of its own name.",
    )
    keep: Literal["all", "none"] | Annotated[Texts, AfterValidator(_distinct)] = Field(
        default="all",
        description="Input columns carried to the output. `all` leaves out the pictures and sounds "
        "of folders and tar archives; name their columns to carry them too.",
    )
    on_bad_row: Annotated[
        BadRow, BeforeValidator(_unquoted_null, json_schema_input_type=BadRow)
    ] = Field(
        default_factory=_bad_row,
        description="A row that cannot be labelled: `reject` leaves it out of the output; `null` "
        "keeps it, with null labels and the reason in the column `error`; `fail` stops the job. "
        "The default is `reject`, and `null` where `keep` is `none`.",
    )
    on_bad_shard: Literal["skip", "fail"] = Field(
        default="skip",
        description="`skip` records a shard that cannot be read and goes on; `fail` stops the job.",
    )
    split_rows: Auto | Count = Field(
        default="auto",
        description="Rows of a split at most: the unit of work, of retry and of an output file.",
    )
    split_bytes: Auto | Size = Field(
        default="auto", description="Bytes of a split at most, decompressed."
    )
