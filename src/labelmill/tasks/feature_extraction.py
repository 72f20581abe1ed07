"""feature-extraction: one vector for each text, for search, clustering and deduplication.

How it is made is what the checkpoint's sentence-transformers files say, where it has any, and the
vectors are then that library's. A long text is cut to `max_length`, or windowed: then its vector is
the mean of its windows' vectors, each window weighted by the number of tokens that it does not
share with the one before it, and made of length 1 again. `ops.embeddings` says the rest.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

from labelmill.batch import Encoded, ModelFacts, Outputs, SentenceFacts, dense
from labelmill.config.section import Section
from labelmill.config.values import Count, Text
from labelmill.config.windows import WindowsSection
from labelmill.errors import ConfigError
from labelmill.learning import Defaults, Examples, Objective
from labelmill.ops import contrasts, embeddings, labels, tokens, windows
from labelmill.readouts import Embedding, Pooling, Readout
from labelmill.tasks import Fields, Work

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_NUMBERS = {"float32": pa.float32(), "float16": pa.float16()}


class FeatureExtractionOptions(WindowsSection):
    """Options of feature-extraction."""

    pooling: Pooling | None = Field(
        default=None,
        description="Which hidden states become the vector: the first token's, the mean or the "
        "maximum over all, the last token's, or what the model's own pooler makes of the first; "
        "null: as the checkpoint's sentence-transformers files say, else 'mean'.",
    )
    normalize: bool | None = Field(
        default=None,
        description="Vectors of length 1; null: as the checkpoint's files say, else true.",
    )
    dimensions: Count | None = Field(
        default=None,
        description="Keep the first so many numbers of a vector, for models trained for it "
        "(Matryoshka); null: as the checkpoint's files say, else all.",
    )
    dtype: Literal["float32", "float16"] = Field(
        default="float32", description="Numbers of the column `embedding`."
    )
    prompt: str | None = Field(
        default=None,
        description="Text put before each text; null: the checkpoint's default prompt, if any.",
    )
    prompt_name: Text | None = Field(
        default=None, description="Name of one of the checkpoint's prompts, instead of `prompt`."
    )
    max_length: Count | None = Field(
        default=None,
        description="Tokens a text is cut to; null: as the checkpoint's files say, else as many as "
        "the model takes.",
    )

    @model_validator(mode="after")
    def _one_prompt(self) -> Self:
        if self.prompt is not None and self.prompt_name is not None:
            raise ValueError("prompt and prompt_name exclude each other; remove one")
        return self


class FeatureExtraction:
    """See the module."""

    name: ClassVar[str] = "feature-extraction"
    auto_class: ClassVar[str] = "AutoModel"
    processor: ClassVar[str] = "AutoTokenizer"
    fields: ClassVar[tuple[str, ...]] = ("text",)
    targets: ClassVar[tuple[str, ...]] = ("positive", "negative?")
    finds_head: ClassVar[bool] = False
    work: ClassVar[Work] = "scoring"
    metrics: ClassVar[tuple[str, ...]] = ()
    checked: ClassVar[bool] = True
    Options: ClassVar[type[Section]] = FeatureExtractionOptions

    def model_class(self, facts: ModelFacts, options: FeatureExtractionOptions) -> str:
        """The model without a head; of an encoder with a decoder, the encoder."""
        del options
        return embeddings.model_class(facts)

    def encode(
        self,
        fields: Fields,
        processor: "PreTrainedTokenizerBase",
        facts: ModelFacts,
        options: FeatureExtractionOptions,
    ) -> Encoded:
        """See Task."""
        prompt = _prompt(facts, options)
        texts = [prompt + text for text in fields["text"].to_pylist()]
        length = embeddings.length_limit(facts, options.max_length)
        if options.long_text == "window" and length is not None:
            return tokens.windowed(texts, processor, length, _stride(facts, options))
        return tokens.truncated(texts, processor, length)

    def readout(
        self,
        processor: "PreTrainedTokenizerBase",
        facts: ModelFacts,
        options: FeatureExtractionOptions,
    ) -> Readout:
        """See Task; raises ConfigError where the prompt alone fills a sequence."""
        sentence = embeddings.described(facts)
        skip = 0
        if not sentence.pool_prompt:
            length = embeddings.length_limit(facts, options.max_length)
            skip = embeddings.head(_prompt(facts, options), processor, length)
        return Embedding(
            pooling=options.pooling or cast("Pooling", sentence.pooling),
            normalize=_normalize(facts, options),
            dimensions=_kept(facts, options),
            skip=skip,
            dense=sentence.dense,
        )

    def decode(
        self,
        outputs: Outputs,
        encoded: Encoded,
        fields: Fields,
        processor: Any,
        facts: ModelFacts,
        options: FeatureExtractionOptions,
    ) -> pa.Table:
        """See Task."""
        del processor
        rows = len(fields["text"])
        schema = self.schema(facts, options)
        if not len(encoded):
            return labels.unlabelled(schema, rows)
        vectors = dense(outputs, "embedding").astype(np.float32, copy=False)
        own = windows.own_tokens(encoded, _stride(facts, options))
        present, means = windows.row_means(vectors, encoded, own)
        if _normalize(facts, options) and len(present) < len(encoded):
            means = embeddings.normalized(means)
        column = embeddings.column(means, _NUMBERS[options.dtype])
        return labels.stretched(pa.table([column], schema=schema), present, rows)

    def schema(self, facts: ModelFacts, options: FeatureExtractionOptions) -> pa.Schema:
        """See Task; raises ConfigError for options that do not fit the model, ModelError."""
        width = embeddings.described(facts).dimensions
        if (options.dimensions or 0) > width:
            raise ConfigError(
                f"options.dimensions: {options.dimensions} are more than this model's vectors have "
                f"({width}); lower it"
            )
        embeddings.length_limit(facts, options.max_length)
        if _prompt(facts, options) and options.long_text == "window":
            raise ConfigError(
                f"options.long_text: 'window' would leave all windows but the first without the "
                f"prompt {_prompt(facts, options)!r}; use 'truncate', or set options.prompt to ''"
            )
        size = _kept(facts, options) or width
        return pa.schema([("embedding", pa.list_(_NUMBERS[options.dtype], size))])

    def head(self, targets: Fields, facts: ModelFacts, options: FeatureExtractionOptions) -> None:
        """See Trainable: the model has none; raises ConfigError for what cannot be trained."""
        del targets
        contrasts.refuse(
            pooling=options.pooling or embeddings.described(facts).pooling,
            dimensions=options.dimensions,
            window=options.long_text == "window",
        )

    def defaults(self, facts: ModelFacts) -> Defaults:
        """See `training_defaults`: the batch are the negatives."""
        del facts
        return Defaults(epochs=1, rate=2e-5, batch=64)

    def objective(self, facts: ModelFacts, options: FeatureExtractionOptions) -> Objective:
        """See Trainable."""
        del facts, options
        return "in_batch_negatives"

    def sentence(self, facts: ModelFacts, options: FeatureExtractionOptions) -> SentenceFacts:
        """See `tasks.sentence`."""
        described = embeddings.described(facts)
        told = embeddings.prompted(described, options.prompt, options.prompt_name)
        return replace(
            told,
            pooling=options.pooling or described.pooling,
            normalize=_normalize(facts, options),
            max_length=embeddings.length_limit(facts, options.max_length),
        )

    def learn(
        self,
        fields: Fields,
        targets: Fields,
        processor: "PreTrainedTokenizerBase",
        facts: ModelFacts,
        options: FeatureExtractionOptions,
    ) -> Examples:
        """See Trainable and `ops.contrasts`; every text gets the prompt."""
        given = {name: targets[name].to_pylist() for name in contrasts.ROLES if name in targets}
        texts = dict(given)
        if "negative" in given:
            texts["negative"] = contrasts.filled(given["positive"], given["negative"])
        others = {
            name: self.encode({"text": pa.chunked_array([column])}, processor, facts, options)
            for name, column in texts.items()
        }
        encoded = self.encode(fields, processor, facts, options)
        return contrasts.learned(encoded, others, fields["text"].to_pylist(), given)

    def agrees(self, ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
        """See `ops.embeddings.agree`."""
        return embeddings.agree(ours["embedding"], reference["embedding"])


def _prompt(facts: ModelFacts, options: FeatureExtractionOptions) -> str:
    return embeddings.prompt(embeddings.described(facts), options.prompt, options.prompt_name)


def _normalize(facts: ModelFacts, options: FeatureExtractionOptions) -> bool:
    said = embeddings.described(facts).normalize
    return said if options.normalize is None else options.normalize


def _kept(facts: ModelFacts, options: FeatureExtractionOptions) -> int | None:
    return options.dimensions or embeddings.described(facts).truncate


def _stride(facts: ModelFacts, options: FeatureExtractionOptions) -> int:
    return options.shared(embeddings.length_limit(facts, options.max_length))
