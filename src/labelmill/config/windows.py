"""Windows: the settings of tasks that read texts longer than their model takes at once."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from labelmill.config.section import Section
from labelmill.config.values import Count


class WindowsSection(Section):
    """How much of a long text is read."""

    max_length: Count | None = Field(
        default=None, description="Tokens a text is cut to; null: as many as the model takes."
    )
    long_text: Literal["truncate", "window"] = Field(
        default="truncate",
        description="What becomes of a longer text: its head is used, or all of it in windows.",
    )
    stride: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Tokens that neighbouring windows share; null: a quarter of max_length.",
    )

    @model_validator(mode="after")
    def _needs_windows(self) -> Self:
        if self.stride is not None and self.long_text != "window":
            raise ValueError("stride is only for long_text 'window'")
        return self

    def shared(self, length: int | None) -> int:
        """Tokens that neighbouring windows of `length` share; 0 where a text has one sequence."""
        if self.long_text == "truncate":
            return 0
        return (length or 0) // 4 if self.stride is None else self.stride
