"""token-classification: the entities of each text: names, places, parts of speech.

`entities` lists them in order, each with its label, its score, and the characters it takes up in
the original text (code points, as Python's `str` counts them). A row is a text, or a list of words:
then the text is the words joined by single spaces, a word is a word whatever stands in it, and the
tokens are those of `is_split_into_words`. `ops.entities` says how tags become entities.

A long text is read in overlapping windows. Each of its tokens is read in the window where it is
farther from a cut, and only then are tokens put together, so that no entity is found twice or cut.
A text in which nothing is found has an empty list.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from labelmill.batch import Encoded, ModelFacts, Outputs
from labelmill.config.section import Section
from labelmill.config.values import Count, Share, Text
from labelmill.config.windows import WindowsSection
from labelmill.errors import ConfigError
from labelmill.learning import Defaults, Examples, Head, Objective
from labelmill.ops import entities, entity_lists, tag_targets, token_spans, tokens, word_lists
from labelmill.readouts import Readout, TokenLogits
from labelmill.tasks import Fields, Work

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TokenClassificationOptions(WindowsSection):
    """Options of token-classification."""

    aggregation: entities.Aggregation = Field(
        default="simple",
        description="How tokens become entities, as in transformers: 'none' lists each token with "
        "its whole label; 'simple' joins tokens by their best labels; 'first', 'average' and 'max' "
        "give every token of a word one label before.",
    )
    max_length: Count | None = Field(
        default=None, description="Tokens of a window; null: as many as the model takes."
    )
    long_text: Literal["truncate", "window"] = Field(
        default="window",
        description="What becomes of a longer text: all of it is read in windows, or its head.",
    )
    ignore_labels: Annotated[tuple[Text, ...], Field(strict=False)] = Field(
        default=(entities.OUTSIDE,),
        description="Labels that are not listed; types such as 'PER' where tokens are aggregated.",
    )
    threshold: Share = Field(default=0.0, description="Lowest score of an entity that is listed.")
    trim: bool = Field(
        default=True,
        description="Leave out white space at the ends of an entity, which some tokenizers count "
        "in; false: offsets as transformers gives them.",
    )


class TokenClassification:
    """See the module."""

    name: ClassVar[str] = "token-classification"
    auto_class: ClassVar[str] = "AutoModelForTokenClassification"
    processor: ClassVar[str] = "AutoTokenizer"
    fields: ClassVar[tuple[str, ...]] = ("text|words:json",)
    targets: ClassVar[tuple[str, ...]] = ("tags:json|entities:json",)
    finds_head: ClassVar[bool] = True
    work: ClassVar[Work] = "scoring"
    metrics: ClassVar[tuple[str, ...]] = ("entity_precision", "entity_recall", "entity_f1")
    checked: ClassVar[bool] = True
    Options: ClassVar[type[Section]] = TokenClassificationOptions

    def encode(
        self,
        fields: Fields,
        processor: "PreTrainedTokenizerBase",
        facts: ModelFacts,
        options: TokenClassificationOptions,
    ) -> Encoded:
        """See Task; raises ModelError for a tokenizer without a fast backend."""
        cut = _cut(facts, options)
        if "text" in fields:
            return token_spans.of_texts(fields["text"].to_pylist(), processor, cut)
        words, errors = word_lists.parsed(fields["words"].to_pylist())
        return replace(token_spans.of_words(words, processor, cut), errors=errors)

    def readout(
        self, processor: Any, facts: ModelFacts, options: TokenClassificationOptions
    ) -> Readout:
        """See Task."""
        del processor, facts, options
        return TokenLogits()

    def decode(
        self,
        outputs: Outputs,
        encoded: Encoded,
        fields: Fields,
        processor: Any,
        facts: ModelFacts,
        options: TokenClassificationOptions,
    ) -> pa.Table:
        """See Task; raises ModelError where the model gives more or fewer scores than labels."""
        del processor
        texts = _texts(fields)
        names = entities.named(facts.labels, options.aggregation)
        read = entities.read(outputs["logits"], encoded, facts.labels)
        found = entities.find(read, facts.labels, options.aggregation)
        ignored = np.array([name in options.ignore_labels for name in names], np.bool_)
        found = found.where(~ignored[found.names])
        found = found.where(found.scores >= np.float32(options.threshold))
        if options.trim:
            found = entity_lists.trimmed(found, texts)
        present = np.zeros(len(texts), np.bool_)
        present[encoded.rows] = True
        column = entity_lists.column(found, names, texts, present)
        return pa.table([column], schema=self.schema(facts, options))

    def schema(self, facts: ModelFacts, options: TokenClassificationOptions) -> pa.Schema:
        """See Task; raises ConfigError for a label to ignore that the model does not know."""
        _cut(facts, options)
        entities.refuse_unknown(options.ignore_labels, facts.labels, options.aggregation)
        return pa.schema([("entities", entity_lists.ENTITIES)])

    def head(self, targets: Fields, facts: ModelFacts, options: TokenClassificationOptions) -> Head:
        """See Trainable: the tags of words, or BIO tags of the entities of texts."""
        del options
        return tag_targets.head(facts, tags=targets.get("tags"), lists=targets.get("entities"))

    def defaults(self, facts: ModelFacts) -> Defaults:
        """See `training_defaults`: sets with tags are small."""
        del facts
        return Defaults(epochs=5)

    def objective(self, facts: ModelFacts, options: TokenClassificationOptions) -> Objective:
        """See Trainable."""
        del facts, options
        return "tags"

    def learn(
        self,
        fields: Fields,
        targets: Fields,
        processor: "PreTrainedTokenizerBase",
        facts: ModelFacts,
        options: TokenClassificationOptions,
    ) -> Examples:
        """See Trainable; raises ConfigError for tags of a text that is no list of words."""
        encoded = self.encode(fields, processor, facts, options)
        if "entities" in targets:
            listed, texts = targets["entities"], _texts(fields)
            labels, errors = tag_targets.of_entities(listed, texts, encoded, facts)
        elif "words" in fields:
            words, _ = word_lists.parsed(fields["words"].to_pylist())
            labels, errors = tag_targets.of_words(targets["tags"], words, encoded, facts)
        else:
            raise ConfigError(
                "data.columns: tags are of words, and the rows have a text; name the column of "
                "word lists as `words`, or the column of entities as `entities`"
            )
        encoded = replace(encoded, errors={**encoded.errors, **errors})
        return Examples(encoded=encoded, targets={"labels": labels})

    def agrees(self, ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
        """See `ops.entity_lists.agree`."""
        return entity_lists.agree(ours["entities"], reference["entities"])


def _cut(facts: ModelFacts, options: TokenClassificationOptions) -> token_spans.Cut:
    if options.long_text != "window":
        length = tokens.length_limit(facts, options.max_length)
        return token_spans.Cut(max_length=length, stride=None)
    length = tokens.length_limit(facts, options.max_length, "longer texts are read in windows")
    return token_spans.Cut(max_length=length, stride=options.shared(length))


def _texts(fields: Fields) -> list[str | None]:
    """The text of each row; None for a list of words that is none."""
    if "text" in fields:
        return list(fields["text"].to_pylist())
    words, _ = word_lists.parsed(fields["words"].to_pylist())
    return [None if row is None else " ".join(row) for row in words]
