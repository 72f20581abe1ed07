"""Writing: the settings that summarization and translation share.

What is null is as the checkpoint says: in its settings for the task (`task_specific_params` of
config.json) or in its generation_config.json.
"""

from typing import Annotated, Literal

from pydantic import Field

from labelmill.config.section import Section
from labelmill.config.values import Count


class WritingSection(Section):
    """How a text is read, and how another is written of it."""

    prefix: str | None = Field(
        default=None,
        description="Put before each text, e.g. 'summarize: ' for T5; "
        "null: as the checkpoint says.",
    )
    max_length: Count | None = Field(
        default=None, description="Tokens a text is cut to; null: as many as the model reads."
    )
    long_text: Literal["truncate", "window"] = Field(
        default="truncate",
        description="What becomes of a longer text: its head is read, or all of it piece by piece, "
        "cut between sentences, and what is written of each is joined by a space.",
    )
    max_new_tokens: Count | None = Field(
        default=None,
        description="Most tokens that are written of a text, or of a piece of it; "
        "null: as the checkpoint says, else 128.",
    )
    min_new_tokens: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Least tokens that are written; null: as the checkpoint says."
    )
    num_beams: Count | None = Field(
        default=None,
        description="Texts that are written side by side to choose the best; "
        "1 is greedy and fastest, null: as the checkpoint says.",
    )
    length_penalty: float | None = Field(
        default=None,
        description="Above 0 favours longer texts, below 0 shorter ones; only for beams; "
        "null: as the checkpoint says.",
    )
    repetition_penalty: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Above 1 makes tokens that are there already less likely; "
        "null: as the checkpoint says.",
    )
    no_repeat_ngram_size: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="No run of so many tokens is written twice; 0 allows it, "
        "null: as the checkpoint says.",
    )
