"""The `training` section: how a model is fine-tuned.

What is not here is handed to transformers' TrainingArguments under its name there; which names it
has, and what they may be, is not known here.
"""

from typing import Annotated, Self

from pydantic import Field, JsonValue, model_validator

from labelmill.config.section import Section
from labelmill.config.values import Auto, Count, Text, Texts
from labelmill.learning import Defaults

_LORA_RATE = 2e-4  # adapters begin with nothing, and are few


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

    num_train_epochs: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Times that every row is seen; null: the task's own, 3 for most "
        "(docs/training.md).",
    )
    learning_rate: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Highest learning rate; null: the task's own, 5e-5 for most; 2e-4 with `lora`.",
    )
    per_device_train_batch_size: Count | None = Field(
        default=None,
        description="Rows of a step for each worker; null: the task's own, 16 for most.",
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

    def settled(self, defaults: Defaults) -> Self:
        """With the task's own numbers where the job has none."""
        rate = _LORA_RATE if self.lora else defaults.rate
        found = {
            "num_train_epochs": self.num_train_epochs or defaults.epochs,
            "learning_rate": self.learning_rate or rate,
            "per_device_train_batch_size": self.per_device_train_batch_size or defaults.batch,
        }
        return self.model_copy(update=found)

    @property
    def others(self) -> dict[str, JsonValue]:
        """Settings that are no fields here, for TrainingArguments."""
        return dict(self.model_extra or {})
