"""Sampling: the settings of a task that may draw the tokens it writes."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from labelmill.config.section import Section
from labelmill.config.values import Count

_ONLY_SAMPLED = ("top_k", "top_p", "min_p", "seed")


class SamplingSection(Section):
    """How a token is chosen."""

    temperature: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="0 takes the likeliest token; above 0 tokens are drawn."
    )
    top_k: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Draw from the k likeliest tokens, 0 from all; null: as the checkpoint says, "
        "else 50.",
    )
    top_p: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="Draw from the likeliest tokens that have this share of the probability "
        "together; null: as the checkpoint says.",
    )
    min_p: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None,
        description="Draw from tokens that are at least so likely as a share of the likeliest; "
        "null: as the checkpoint says.",
    )
    seed: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Another number draws other texts; null is 0."
    )
    repetition_penalty: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Above 1 makes tokens that are there already less likely; "
        "null: as the checkpoint says.",
    )
    max_new_tokens: Count = Field(default=256, description="Most tokens that are written.")
    min_new_tokens: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Least tokens that are written; null: as the checkpoint says."
    )

    @model_validator(mode="after")
    def _needs_temperature(self) -> Self:
        idle = [name for name in _ONLY_SAMPLED if getattr(self, name) is not None]
        if idle and self.temperature == 0:
            raise ValueError(f"{idle[0]} is only for a temperature above 0")
        if self.min_new_tokens is not None and self.min_new_tokens > self.max_new_tokens:
            raise ValueError("min_new_tokens is more than max_new_tokens")
        return self
