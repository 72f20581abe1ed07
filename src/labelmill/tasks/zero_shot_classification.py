"""zero-shot-classification: the best of any labels you name, for models that never learned them.

Two kinds of model do it, and the checkpoint decides. A classifier of natural language inference
(one of its labels is entailment) judges for each label whether the text entails a sentence about
it: `ops.hypotheses`. Any other text encoder gives the text and each label a vector, and a score is
the cosine of the two, from -1 to 1: `ops.embeddings`. The first costs a sequence for each label,
the second one for each text.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

from labelmill.batch import THRESHOLD, Encoded, ModelFacts, Outputs, dense
from labelmill.config.section import Section
from labelmill.config.values import Share, Text, Texts
from labelmill.errors import ModelError
from labelmill.ops import embeddings, hypotheses, labels, tokens
from labelmill.readouts import Embedding, Logits, Pooling, Readout
from labelmill.tasks import Fields, Work

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SLOT = "{}"
_ABOUT = "This example is {}."  # as the pipeline of transformers says it


class ZeroShotClassificationOptions(Section):
    """Options of zero-shot-classification."""

    labels: Texts | Annotated[Mapping[Text, Text], Field(min_length=1)] = Field(
        description="The labels: a list, or a mapping of each label to words that describe it "
        "better to the model.",
    )
    template: Text | None = Field(
        default=None,
        description="What the model reads of a label, with '{}' where the label, or its "
        f"description, goes; null: '{_ABOUT}', and for models of sentence embeddings '{_SLOT}'.",
    )
    multi_label: bool = Field(
        default=False, description="Give every label that reaches the threshold, not the best one."
    )
    scores: Literal["best", "all"] | Annotated[int, Field(ge=1)] = Field(
        default="best", description="Also list the scores of all labels, or of the k best."
    )
    threshold: Share | Mapping[Text, Share] = Field(
        default=THRESHOLD,
        description="Lowest score of a label that is given with multi_label, or a mapping of "
        "labels to theirs.",
    )
    max_length: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Tokens a text, with the label if the model reads both, is cut to; null: as "
        "many as the model takes.",
    )

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.template is not None and _SLOT not in self.template:
            raise ValueError(f"template {self.template!r} has no {_SLOT!r} where the label goes")
        if len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels {self.labels!r} name a label twice")
        if self.threshold != THRESHOLD and not self.multi_label:
            raise ValueError("threshold is for multi_label; set that to true, or remove it")
        return self


class ZeroShotClassification:
    """See the module."""

    name: ClassVar[str] = "zero-shot-classification"
    auto_class: ClassVar[str] = "AutoModelForSequenceClassification"
    processor: ClassVar[str] = "AutoTokenizer"
    fields: ClassVar[tuple[str, ...]] = ("text",)
    work: ClassVar[Work] = "scoring"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "f1_macro")
    checked: ClassVar[bool] = True
    Options: ClassVar[type[Section]] = ZeroShotClassificationOptions

    def model_class(self, facts: ModelFacts, options: ZeroShotClassificationOptions) -> str:
        """A classifier, or the model without a head."""
        del options
        return self.auto_class if _infers(facts) else embeddings.model_class(facts)

    def encode(
        self,
        fields: Fields,
        processor: "PreTrainedTokenizerBase",
        facts: ModelFacts,
        options: ZeroShotClassificationOptions,
    ) -> Encoded:
        """See Task."""
        texts = fields["text"].to_pylist()
        length = _max_length(facts, options)
        if _infers(facts):
            return hypotheses.paired(texts, _sentences(facts, options), processor, length)
        return tokens.truncated([_prompt(facts) + text for text in texts], processor, length)

    def readout(
        self,
        processor: "PreTrainedTokenizerBase",
        facts: ModelFacts,
        options: ZeroShotClassificationOptions,
    ) -> Readout:
        """See Task; raises ConfigError where a label or the prompt is too long for the model."""
        if _infers(facts):
            return Logits()
        sentence, length = embeddings.described(facts), _max_length(facts, options)
        prompt = _prompt(facts)
        skip = 0 if sentence.pool_prompt else embeddings.head(prompt, processor, length)
        sentences = [prompt + text for text in _sentences(facts, options)]
        return Embedding(
            pooling=cast("Pooling", sentence.pooling),
            dimensions=sentence.truncate,
            skip=skip,
            dense=sentence.dense,
            anchors=embeddings.anchors(sentences, processor, length),
        )

    def decode(
        self,
        outputs: Outputs,
        encoded: Encoded,
        fields: Fields,
        processor: Any,
        facts: ModelFacts,
        options: ZeroShotClassificationOptions,
    ) -> pa.Table:
        """See Task."""
        del processor
        rows, told = len(fields["text"]), _told(facts, options)
        if not len(encoded):
            return labels.unlabelled(self.schema(facts, options), rows)
        given = _scores(outputs, facts, options)
        table = labels.columns(given, told, options.scores, options.threshold)
        return labels.stretched(table, np.unique(encoded.rows), rows)

    def schema(self, facts: ModelFacts, options: ZeroShotClassificationOptions) -> pa.Schema:
        """See Task; raises ConfigError for options that do nothing, ModelError for the model."""
        if _infers(facts):
            tokens.length_limit(facts, options.max_length)
        elif facts.architecture.endswith("ForSequenceClassification"):
            raise ModelError(
                f"the model is a classifier of {', '.join(map(repr, facts.labels[:3]))}, expected "
                "one of natural language inference, with a label 'entailment' in its config.json, "
                "or a model of sentence embeddings; for its own labels there is the task "
                "text-classification"
            )
        else:
            embeddings.length_limit(facts, options.max_length)
        told = _told(facts, options)
        labels.refuse_idle(told, options.scores, options.threshold)
        return labels.schema(told, options.scores)

    def agrees(self, ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
        """See `ops.labels.agree`."""
        return labels.agree(ours, reference)


def _infers(facts: ModelFacts) -> bool:
    classifies = facts.architecture.endswith("ForSequenceClassification")
    return classifies and hypotheses.entailment(facts.labels) is not None


def _told(facts: ModelFacts, options: ZeroShotClassificationOptions) -> ModelFacts:
    """The facts of the classifier that the options make of the model."""
    kind = labels.MULTI_LABEL if options.multi_label else labels.SINGLE_LABEL
    return replace(facts, labels=tuple(options.labels), problem_type=kind)


def _sentences(facts: ModelFacts, options: ZeroShotClassificationOptions) -> list[str]:
    """What the model reads of each label."""
    template = options.template or (_ABOUT if _infers(facts) else _SLOT)
    described = options.labels
    said = described.values() if isinstance(described, Mapping) else described
    return [template.replace(_SLOT, words) for words in said]


def _prompt(facts: ModelFacts) -> str:
    return embeddings.prompt(embeddings.described(facts), None, None)


def _max_length(facts: ModelFacts, options: ZeroShotClassificationOptions) -> int | None:
    if _infers(facts):
        return tokens.length_limit(facts, options.max_length)
    return embeddings.length_limit(facts, options.max_length)


def _scores(
    outputs: Outputs, facts: ModelFacts, options: ZeroShotClassificationOptions
) -> embeddings.Vectors:
    """[rows, labels]."""
    if not _infers(facts):
        return dense(outputs, "similarity").astype(np.float32, copy=False)
    logits, count = dense(outputs, "logits"), len(options.labels)
    return hypotheses.label_scores(logits, facts.labels, count, together=not options.multi_label)
