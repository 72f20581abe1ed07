"""text-classification: labels with scores, or a number, for each text or pair of texts.

What the logits mean is said in `ops.labels`. A long text is cut to `max_length`, or windowed: then
its scores are the mean of its windows' scores, each window weighted by the number of tokens that it
does not share with the one before it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

from labelmill.batch import Encoded, ModelFacts, Outputs
from labelmill.config.section import Section
from labelmill.errors import ConfigError
from labelmill.ops import labels, tokens, windows

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
    threshold: Annotated[float, Field(ge=0, le=1)] = Field(
        default=labels.THRESHOLD,
        description="Lowest score of a label that is given, where several may be.",
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
    fields: ClassVar[tuple[str, ...]] = ("text", "text_pair?")
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "f1_macro")
    Options: ClassVar[type[Section]] = TextClassificationOptions

    def encode(
        self,
        fields: Mapping[str, pa.ChunkedArray],
        processor: "PreTrainedTokenizerBase",
        facts: ModelFacts,
        options: TextClassificationOptions,
    ) -> Encoded:
        """See Task."""
        pairs = fields["text_pair"].to_pylist() if "text_pair" in fields else None
        texts = tokens.pair_up(fields["text"].to_pylist(), pairs)
        length = _max_length(facts, options)
        if options.long_text == "window" and length is not None:
            return tokens.windowed(texts, processor, length, _stride(facts, options))
        return tokens.truncated(texts, processor, length)

    def decode(
        self,
        outputs: Outputs,
        encoded: Encoded,
        rows: int,
        facts: ModelFacts,
        options: TextClassificationOptions,
    ) -> pa.Table:
        """See Task; raises ModelError where the model gives more or fewer scores than labels."""
        if not len(encoded):
            schema = self.schema(facts, options)
            return pa.table([pa.nulls(rows, field.type) for field in schema], schema=schema)
        given = labels.activated(outputs["logits"], facts)
        own = windows.own_tokens(encoded, _stride(facts, options))
        present, means = windows.row_means(given, encoded, own)
        table = labels.columns(means, facts, options.scores, options.threshold)
        return labels.stretched(table, present, rows)

    def schema(self, facts: ModelFacts, options: TextClassificationOptions) -> pa.Schema:
        """See Task; raises ConfigError for options that do nothing with this model."""
        labels.refuse_idle(facts, options.scores, options.threshold)
        _max_length(facts, options)
        return labels.schema(facts, options.scores)

    def agrees(self, ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
        """See `ops.labels.agree`."""
        return labels.agree(ours, reference)


def _max_length(facts: ModelFacts, options: TextClassificationOptions) -> int | None:
    wanted = options.max_length
    if wanted is not None and facts.positions is not None and wanted > facts.positions:
        raise ConfigError(
            f"options.max_length: {wanted} tokens are more than this model takes "
            f"({facts.positions}); lower it; options.long_text 'window' uses the rest of a text too"
        )
    return facts.max_length if wanted is None else wanted


def _stride(facts: ModelFacts, options: TextClassificationOptions) -> int:
    if options.long_text == "truncate":
        return 0
    length = _max_length(facts, options)
    return (length or 0) // 4 if options.stride is None else options.stride
