"""image-classification: labels with scores, or a number, for each image.

What the logits mean is said in `ops.labels`, what an image may be in `ops.images`. An image that
cannot be decoded, or is larger than `max_pixels`, is an error of its row. What is learned of an
image is what is labelled: the same pixels, without augmentation.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from labelmill.batch import Encoded, ModelFacts, Outputs, dense
from labelmill.config.section import Section
from labelmill.config.values import Share, Text, Texts
from labelmill.learning import Examples, Head, Objective, of_rows
from labelmill.ops import images, labels, pixels
from labelmill.ops import targets as classes  # `targets` is a parameter in what follows
from labelmill.ops.labels import THRESHOLD, ProblemType  # `labels` is an option in what follows
from labelmill.readouts import Logits
from labelmill.tasks import Fields, Work


class ImageClassificationOptions(Section):
    """Options of image-classification."""

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
    max_pixels: Annotated[int, Field(ge=1)] = Field(
        default=images.MAX_PIXELS,
        description="Width times height beyond which an image is rejected, not decoded.",
    )


class ImageClassification:
    """See the module."""

    name: ClassVar[str] = "image-classification"
    auto_class: ClassVar[str] = "AutoModelForImageClassification"
    processor: ClassVar[str] = "AutoImageProcessor"
    fields: ClassVar[tuple[str, ...]] = ("image:media",)
    targets: ClassVar[tuple[str, ...]] = ("label:json",)
    work: ClassVar[Work] = "media"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "f1_macro")
    checked: ClassVar[bool] = True
    Options: ClassVar[type[Section]] = ImageClassificationOptions

    def encode(
        self,
        fields: Fields,
        processor: Any,
        facts: ModelFacts,
        options: ImageClassificationOptions,
    ) -> Encoded:
        """See Task and `ops.pixels.encoded`."""
        del facts
        return pixels.encoded(fields["image"], processor, options.max_pixels)

    def readout(
        self, processor: Any, facts: ModelFacts, options: ImageClassificationOptions
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
        options: ImageClassificationOptions,
    ) -> pa.Table:
        """See Task; raises ModelError where the model gives more or fewer scores than labels."""
        del processor
        rows = len(fields["image"])
        if not len(encoded):
            schema = self.schema(facts, options)
            return pa.table([pa.nulls(rows, field.type) for field in schema], schema=schema)
        told = labels.told(facts, options.labels, options.problem_type)
        given = labels.activated(dense(outputs, "logits"), told)
        table = labels.columns(given, told, options.scores, options.threshold)
        return labels.stretched(table, encoded.rows, rows)

    def schema(self, facts: ModelFacts, options: ImageClassificationOptions) -> pa.Schema:
        """See Task; raises ConfigError for options that do nothing with this model."""
        told = labels.told(facts, options.labels, options.problem_type)
        labels.refuse_idle(told, options.scores, options.threshold)
        return labels.schema(told, options.scores)

    def head(self, targets: Fields, facts: ModelFacts, options: ImageClassificationOptions) -> Head:
        """See Trainable."""
        return classes.head(targets["label"], facts, options.labels, options.problem_type)

    def objective(self, facts: ModelFacts, options: ImageClassificationOptions) -> Objective:
        """See Trainable: by the problem type."""
        del options
        return classes.objective(facts)

    def learn(
        self,
        fields: Fields,
        targets: Fields,
        processor: Any,
        facts: ModelFacts,
        options: ImageClassificationOptions,
    ) -> Examples:
        """See Trainable."""
        encoded = self.encode(fields, processor, facts, options)
        values, errors = classes.learned(targets["label"], facts)
        return Examples(
            encoded=replace(encoded, errors={**encoded.errors, **errors}),
            targets={"labels": of_rows(values, encoded)},
        )

    def agrees(self, ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
        """See `ops.labels.agree`."""
        return labels.agree(ours, reference)
