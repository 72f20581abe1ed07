"""text-classification: labels with scores, or a number, for each text or pair of texts.

What the logits mean is said in `ops.labels`. A long text is cut to `max_length`, or windowed: then
its scores are the mean of its windows' scores, each window weighted by the number of tokens that it
does not share with the one before it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

from labelmill.batch import Encoded, ModelFacts, Outputs, dense
from labelmill.config.section import Section
from labelmill.config.values import Share, Text, Texts
from labelmill.learning import Examples, Head, Objective, of_rows
from labelmill.ops import labels, tokens, windows
from labelmill.ops import targets as classes  # `targets` is a parameter in what follows
from labelmill.ops.labels import THRESHOLD, ProblemType  # `labels` is an option in what follows
from labelmill.readouts import Logits
from labelmill.tasks import Fields, Work

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TextClassificationOptions(Section):
    """Options of text-classification."""

    max_length: Annotated[int, Field(ge=1)] | None = Field(
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
    scores: Literal["best", "all"] | Annotated[int, Field(ge=1)] = Field(
        default="best", description="Also list the scores of all labels, or of the k best."
    )
    threshold: Share | Mapping[Text, Share] = Field(
        default=THRESHOLD,
        description="Lowest score of a label that is given, where several may be; or a mapping of "
        "labels to theirs.",
    )
    labels: Texts | None = Field(
        default=None,
        description="Names of the model's labels in the order of their ids; null: its own.",
    )
    problem_type: ProblemType | None = Field(
        default=None,
        description="Whether labels exclude each other, do not, or are numbers; null: as the "
        "model's config.json says, else by the number of labels.",
    )

    @model_validator(mode="after")
    def _needs_windows(self) -> Self:
        if self.stride is not None and self.long_text != "window":
            raise ValueError("stride is only for long_text 'window'")
        return self


class TextClassification:
    """See the module."""

    name: ClassVar[str] = "text-classification"
    auto_class: ClassVar[str] = "AutoModelForSequenceClassification"
    processor: ClassVar[str] = "AutoTokenizer"
    fields: ClassVar[tuple[str, ...]] = ("text", "text_pair?")
    targets: ClassVar[tuple[str, ...]] = ("label:json",)
    work: ClassVar[Work] = "scoring"
    checked: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "f1_macro")
    Options: ClassVar[type[Section]] = TextClassificationOptions

    def encode(
        self,
        fields: Fields,
        processor: "PreTrainedTokenizerBase",
        facts: ModelFacts,
        options: TextClassificationOptions,
    ) -> Encoded:
        """See Task."""
        pairs = fields["text_pair"].to_pylist() if "text_pair" in fields else None
        texts = tokens.pair_up(fields["text"].to_pylist(), pairs)
        length = tokens.length_limit(facts, options.max_length)
        if options.long_text == "window" and length is not None:
            return tokens.windowed(texts, processor, length, _stride(facts, options))
        return tokens.truncated(texts, processor, length)

    def readout(
        self, processor: Any, facts: ModelFacts, options: TextClassificationOptions
    ) -> Logits:
        """See Task."""
        del processor, facts, options
        return Logits()

    def decode(
        self,
        outputs: Outputs,
        encoded: Encoded,
        fields: Fields,
        processor: Any,
        facts: ModelFacts,
        options: TextClassificationOptions,
    ) -> pa.Table:
        """See Task; raises ModelError where the model gives more or fewer scores than labels."""
        del processor
        rows = len(fields["text"])
        if not len(encoded):
            schema = self.schema(facts, options)
            return pa.table([pa.nulls(rows, field.type) for field in schema], schema=schema)
        told = labels.told(facts, options.labels, options.problem_type)
        given = labels.activated(dense(outputs, "logits"), told)
        own = windows.own_tokens(encoded, _stride(facts, options))
        present, means = windows.row_means(given, encoded, own)
        table = labels.columns(means, told, options.scores, options.threshold)
        return labels.stretched(table, present, rows)

    def schema(self, facts: ModelFacts, options: TextClassificationOptions) -> pa.Schema:
        """See Task; raises ConfigError for options that do nothing with this model."""
        told = labels.told(facts, options.labels, options.problem_type)
        labels.refuse_idle(told, options.scores, options.threshold)
        tokens.length_limit(facts, options.max_length)
        return labels.schema(told, options.scores)

    def head(self, targets: Fields, facts: ModelFacts, options: TextClassificationOptions) -> Head:
        """See Trainable."""
        return classes.head(targets["label"], facts, options.labels, options.problem_type)

    def objective(self, facts: ModelFacts, options: TextClassificationOptions) -> Objective:
        """See Trainable: by the problem type."""
        del options
        return classes.objective(facts)

    def learn(
        self,
        fields: Fields,
        targets: Fields,
        processor: "PreTrainedTokenizerBase",
        facts: ModelFacts,
        options: TextClassificationOptions,
    ) -> Examples:
        """See Trainable; each window of a text is to get the label of the text."""
        encoded = self.encode(fields, processor, facts, options)
        values, errors = classes.learned(targets["label"], facts)
        return Examples(
            encoded=replace(encoded, errors={**encoded.errors, **errors}),
            targets={"labels": of_rows(values, encoded)},
        )

    def agrees(self, ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
        """See `ops.labels.agree`."""
        return labels.agree(ours, reference)


def _stride(facts: ModelFacts, options: TextClassificationOptions) -> int:
    if options.long_text == "truncate":
        return 0
    length = tokens.length_limit(facts, options.max_length)
    return (length or 0) // 4 if options.stride is None else options.stride
