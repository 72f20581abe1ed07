"""The `data` section of a training job: what is learned, and what is kept back to measure by."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from labelmill.config.section import Section
from labelmill.config.source import listed
from labelmill.config.values import Share, SourceFormat, Text, Texts


def _whole(split: str) -> str:
    if any(mark in split for mark in "[]+:"):
        raise ValueError(f"{split!r} is an expression, expected the name of one split")
    return split


Paths = Annotated[Texts, BeforeValidator(listed, json_schema_input_type=Text | Texts)]


class DatasetSection(Section):
    """A dataset of the Hugging Face Hub, as `datasets.load_dataset` takes it."""

    path: Text = Field(
        description="Hub id, or a directory of data files that `load_dataset` takes."
    )
    name: Text | None = Field(
        default=None, description="Configuration of the dataset; null: its only or default one."
    )
    revision: Text | None = Field(
        default=None,
        description="Branch, tag or commit of a hub id; null is the main branch. "
        "Data of another commit are another training.",
    )
    train: Annotated[Text, AfterValidator(_whole)] = Field(
        default="train", description="Split to learn from."
    )
    validation: Annotated[Text, AfterValidator(_whole)] | None = Field(
        default=None,
        description="Split to measure by; null: some of `train` are kept back, or what "
        "`data.validation` names.",
    )


class DataSection(Section):
    """The rows to learn from: files (`train`), or a dataset."""

    train: Paths | None = Field(
        default=None,
        description="File, directory, glob, or a list of them; local or behind a URL. "
        "A relative path starts at the current directory.",
    )
    dataset: DatasetSection | None = Field(
        default=None, description="A dataset of the Hugging Face Hub in the place of files."
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

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.train is None) == (self.dataset is None):
            raise ValueError("set either train (files) or dataset (of the hub)")
        if self.validation is not None and self.dataset and self.dataset.validation is not None:
            raise ValueError("validation and dataset.validation exclude each other; set one")
        return self

    @property
    def has_validation(self) -> bool:
        """Whether the job names rows to measure by."""
        return self.validation is not None or (
            self.dataset is not None and self.dataset.validation is not None
        )
