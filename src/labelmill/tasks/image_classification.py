"""image-classification: labels with scores, or a number, for each image.

What the logits mean is said in `ops.labels`, what an image may be in `ops.images`. An image that
cannot be decoded, or is larger than `max_pixels`, is an error of its row. What is learned of an
image is what is labelled: the same pixels, without augmentation.
"""

from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from labelmill.batch import Encoded, ModelFacts, Outputs, dense
from labelmill.config.labels import LabelsSection
from labelmill.config.section import Section
from labelmill.learning import Defaults, Examples, Head, Objective
from labelmill.ops import images, labels, pixels
from labelmill.ops import targets as classes  # `targets` is a parameter in what follows
from labelmill.readouts import Logits
from labelmill.tasks import Fields, Work


class ImageClassificationOptions(LabelsSection):
    """Options of image-classification."""

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
    finds_head: ClassVar[bool] = True
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
            return labels.unlabelled(self.schema(facts, options), rows)
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

    def defaults(self, facts: ModelFacts) -> Defaults:
        """See `training_defaults`."""
        del facts
        return Defaults(batch=32)

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
        return classes.examples(encoded, targets["label"], facts)

    def agrees(self, ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
        """See `ops.labels.agree`."""
        return labels.agree(ours, reference)
