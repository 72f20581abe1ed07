"""The `output` section: where the parts go and what they look like."""

from typing import Literal

from pydantic import Field

from labelmill.config.section import Section
from labelmill.config.values import Share, Text


class OutputSection(Section):
    """The labelled rows."""

    path: Text = Field(
        description="Directory of the run; local or behind a URL. One directory, one run. "
        "A relative path starts at the current directory."
    )
    format: Literal["parquet", "jsonl"] = Field(
        default="parquet", description="Format of the output files."
    )
    prefix: str = Field(
        default="",
        description="Put before the names of the added columns, against clashes with kept ones.",
    )
    position: bool = Field(
        default=False,
        description="Add each row's place in its shard: its byte offset in text (JSONL, CSV, TSV), "
        "its row number elsewhere.",
    )
    reject_text: bool = Field(
        default=True,
        description="Record the text of rejects; `false` records place and reason alone.",
    )
    max_rejected: Share = Field(
        default=0.01,
        description="Share of rows that may be rejected; the job stops once more are certain, or, "
        "where nobody counted the rows, would be even if those to come are a tenth as long.",
    )
