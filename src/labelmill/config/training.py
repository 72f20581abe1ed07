"""The `training` section: how a model is fine-tuned.

What is not here is handed to transformers' TrainingArguments under its name there; which names it
has, and what they may be, is not known here.
"""

from typing import Annotated, Self

from pydantic import Field, JsonValue, model_validator

from labelmill.config.section import Section
from labelmill.config.values import Auto, Count, Text, Texts


class LoraSection(Section):
    """Low-rank adapters: few weights are learned beside the frozen ones, and merged at the end."""

    r: Count = Field(default=16, description="Rank: numbers that an adapter may use.")
    alpha: Annotated[float, Field(gt=0)] = Field(
        default=32.0, description="What adapters add is scaled by alpha / r."
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="Share of an adapter's inputs that is left out at random."
    )
    target_modules: Text | Texts | None = Field(
        default=None,
        description="Names of the layers that get adapters, or a regular expression; "
        "null: every linear layer.",
    )


class TrainingSection(Section, extra="allow"):
    """How the model is trained, and any other field of transformers' TrainingArguments."""

    num_train_epochs: Annotated[float, Field(gt=0)] = Field(
        default=3.0, description="Times that every row is seen."
    )
    learning_rate: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Highest learning rate; null: 5e-5, and 2e-4 with `lora`."
    )
    per_device_train_batch_size: Count = Field(
        default=16, description="Rows of a step for each worker."
    )
    gradient_accumulation_steps: Count = Field(
        default=1, description="Batches whose gradients are summed to one step."
    )
    bf16: Auto | bool = Field(
        default="auto",
        description="Compute in bfloat16 (weights stay in float32); "
        "auto: where the device computes in it.",
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        default=42,
        description="Of the order of rows, dropout, new weights, and rows kept back.",
    )
    load_best_model_at_end: bool = Field(
        default=True,
        description="The result is the checkpoint with the best metric, where rows are kept back, "
        "not the last one.",
    )
    metric_for_best_model: Text | None = Field(
        default=None,
        description="Metric by which a checkpoint is best, or `loss`; null: the task's own. "
        "One of what a model writes (`rouge1`, `bleu`, `chrf`) has it write for the rows kept back "
        "at each evaluation.",
    )
    early_stopping_patience: Count | None = Field(
        default=None,
        description="Stop once the metric has not got better so many evaluations in a row; "
        "null: never.",
    )
    lora: LoraSection | None = Field(
        default=None, description="Train adapters instead of all weights; null: all weights."
    )

    @model_validator(mode="after")
    def _needs_a_best(self) -> Self:
        if self.early_stopping_patience is not None and not self.load_best_model_at_end:
            raise ValueError("early_stopping_patience needs load_best_model_at_end")
        return self

    @property
    def others(self) -> dict[str, JsonValue]:
        """Settings that are no fields here, for TrainingArguments."""
        return dict(self.model_extra or {})
