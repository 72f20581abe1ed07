"""The `data` section of a training job: what is learned, and what is kept back to measure by."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from labelmill.config.section import Section
from labelmill.config.source import listed
from labelmill.config.values import Share, SourceFormat, Text, Texts

Paths = Annotated[Texts, BeforeValidator(listed, json_schema_input_type=Text | Texts)]


class DataSection(Section):
    """The rows to learn from."""

    train: Paths = Field(
        description="File, directory, glob, or a list of them; local or behind a URL. "
        "A relative path starts at the current directory."
    )
    validation: Paths | None = Field(
        default=None,
        description="The same for rows that are measured by and never learned from; "
        "null: some of `train` are kept back.",
    )
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.1,
        description="Share of the rows of `train` that is kept back where `validation` is null, "
        "chosen by what is in them and by `training.seed`, so that equal rows stay together; "
        "0: none.",
    )
    format: SourceFormat = Field(
        default="auto",
        description="Format of the files; `auto` goes by the suffix and checks the content. "
        "`imagefolder` and `audiofolder` have to be named; the folder is then the label.",
    )
    columns: Mapping[str, Text] = Field(
        default_factory=dict,
        description="The task's fields and what is to be learned, and the column each is read "
        "from; dots reach into structs. What is left out is read from the column of its own name.",
    )
    on_bad_row: Literal["reject", "fail"] = Field(
        default="reject",
        description="A row that cannot be learned from: `reject` leaves it out and says so; "
        "`fail` stops the job.",
    )
    max_rejected: Share = Field(
        default=0.01,
        description="Share of rows that may be rejected; more stop it.",
    )
    class_weights: Literal["none", "balanced"] = Field(
        default="none",
        description="`balanced` gives rare labels as much weight in the loss as common ones.",
    )
