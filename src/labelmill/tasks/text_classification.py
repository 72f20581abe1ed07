"""text-classification: labels with scores, or a number, for each text or pair of texts.

What the logits mean is said in `ops.labels`. A long text is cut to `max_length`, or windowed: then
its scores are the mean of its windows' scores, each window weighted by the number of tokens that it
does not share with the one before it.
"""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from labelmill.batch import Encoded, ModelFacts, Outputs, dense
from labelmill.config.labels import LabelsSection
from labelmill.config.section import Section
from labelmill.config.windows import WindowsSection
from labelmill.learning import Examples, Head, Objective
from labelmill.ops import labels, tokens, windows
from labelmill.ops import targets as classes  # `targets` is a parameter in what follows
from labelmill.readouts import Logits
from labelmill.tasks import Fields, Work

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TextClassificationOptions(LabelsSection, WindowsSection):
    """Options of text-classification."""


class TextClassification:
    """See the module."""

    name: ClassVar[str] = "text-classification"
    auto_class: ClassVar[str] = "AutoModelForSequenceClassification"
    processor: ClassVar[str] = "AutoTokenizer"
    fields: ClassVar[tuple[str, ...]] = ("text", "text_pair?")
    targets: ClassVar[tuple[str, ...]] = ("label:json",)
    finds_head: ClassVar[bool] = True
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
            return labels.unlabelled(self.schema(facts, options), rows)
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
        return classes.examples(encoded, targets["label"], facts)

    def agrees(self, ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
        """See `ops.labels.agree`."""
        return labels.agree(ours, reference)


def _stride(facts: ModelFacts, options: TextClassificationOptions) -> int:
    return options.shared(tokens.length_limit(facts, options.max_length))
