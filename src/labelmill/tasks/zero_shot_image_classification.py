"""zero-shot-image-classification: which of the job's own labels fits each image best.

Each label, or its description, is put into the template, and the model compares that text with the
image. CLIP's scores of all labels sum to 1 (softmax); SigLIP judges each label by itself (sigmoid),
so that all of an image's scores may be low.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

from labelmill.batch import THRESHOLD, Encoded, ModelFacts, Outputs, dense
from labelmill.config.section import Section
from labelmill.config.values import Text, Texts
from labelmill.errors import ConfigError, ModelError
from labelmill.ops import images, labels, pixels
from labelmill.readouts import ImageText
from labelmill.tasks import Fields, Work

_SLOT = "{}"
_SINGLE = "single_label_classification"


class ZeroShotImageClassificationOptions(Section):
    """Options of zero-shot-image-classification."""

    labels: Texts | Annotated[Mapping[Text, Text], Field(min_length=1)] = Field(
        description="The labels, or a mapping of each label to what describes it in the template."
    )
    template: Text = Field(
        default="This is a photo of {}.",
        description="The text that is compared with an image; the label, or description, is at {}.",
    )
    scores: Literal["best", "all"] | Annotated[int, Field(ge=1)] = Field(
        default="best", description="Also list the scores of all labels, or of the k best."
    )
    max_pixels: Annotated[int, Field(ge=1)] = Field(
        default=images.MAX_PIXELS,
        description="Width times height beyond which an image is rejected, not decoded.",
    )

    @model_validator(mode="after")
    def _compares(self) -> Self:
        if _SLOT not in self.template:
            raise ValueError(f"template {self.template!r} has no {_SLOT!r} for the label")
        if len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels {self.labels!r} name one label twice")
        return self


class ZeroShotImageClassification:
    """See the module."""

    name: ClassVar[str] = "zero-shot-image-classification"
    auto_class: ClassVar[str] = "AutoModelForZeroShotImageClassification"
    processor: ClassVar[str] = "AutoProcessor"
    fields: ClassVar[tuple[str, ...]] = ("image:media",)
    work: ClassVar[Work] = "media"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "f1_macro")
    checked: ClassVar[bool] = True
    Options: ClassVar[type[Section]] = ZeroShotImageClassificationOptions

    def encode(
        self,
        fields: Fields,
        processor: Any,
        facts: ModelFacts,
        options: ZeroShotImageClassificationOptions,
    ) -> Encoded:
        """See Task and `ops.pixels.encoded`; raises ModelError for a model of another kind."""
        looks, _ = _halves(processor, facts)
        return pixels.encoded(fields["image"], looks, options.max_pixels)

    def readout(
        self, processor: Any, facts: ModelFacts, options: ZeroShotImageClassificationOptions
    ) -> ImageText:
        """See Task; raises ConfigError for a text that is longer than the model takes."""
        _, reads = _halves(processor, facts)
        texts = _texts(options)
        filled = {"padding": "max_length", "max_length": facts.max_length}
        # SigLIP was trained with every text filled up, and reads its score off the last place.
        padding = filled if _judges_singly(facts) else {"padding": True}
        _refuse_long(texts, reads, facts)
        tokens = reads(texts, **padding)
        masks = tokens.get("attention_mask", ())
        return ImageText(
            texts=tuple(map(tuple, tokens["input_ids"])), masks=tuple(map(tuple, masks))
        )

    def decode(
        self,
        outputs: Outputs,
        encoded: Encoded,
        fields: Fields,
        processor: Any,
        facts: ModelFacts,
        options: ZeroShotImageClassificationOptions,
    ) -> pa.Table:
        """See Task."""
        del processor
        rows = len(fields["image"])
        if not len(encoded):
            return labels.unlabelled(self.schema(facts, options), rows)
        candidates = _candidates(facts, options)
        kind = labels.MULTI_LABEL if _judges_singly(facts) else _SINGLE
        given = labels.activated(dense(outputs, "logits"), replace(candidates, problem_type=kind))
        table = labels.columns(given, candidates, options.scores, THRESHOLD)
        return labels.stretched(table, encoded.rows, rows)

    def schema(self, facts: ModelFacts, options: ZeroShotImageClassificationOptions) -> pa.Schema:
        """See Task."""
        return labels.schema(_candidates(facts, options), options.scores)

    def agrees(self, ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
        """See `ops.labels.agree`."""
        return labels.agree(ours, reference)


def _halves(processor: Any, facts: ModelFacts) -> tuple[Any, Any]:
    """Image processor and tokenizer; raises ModelError where the checkpoint lacks one."""
    halves = ("image_processor", "tokenizer")
    for half in halves:
        if getattr(processor, half, None) is None:
            raise ModelError(
                f"the model (a {facts.model_type!r}) has no {half.replace('_', ' ')}, expected one "
                "that compares images with texts, such as CLIP or SigLIP, and its processor beside "
                "it (save_pretrained)"
            )
    return processor.image_processor, processor.tokenizer


def _candidates(facts: ModelFacts, options: ZeroShotImageClassificationOptions) -> ModelFacts:
    """The model as a classifier of the job's labels: one of them is given for each image."""
    return replace(facts, labels=tuple(options.labels), problem_type=_SINGLE)


def _texts(options: ZeroShotImageClassificationOptions) -> list[str]:
    given = options.labels
    described = given.values() if isinstance(given, Mapping) else given
    return [options.template.replace(_SLOT, text) for text in described]


def _judges_singly(facts: ModelFacts) -> bool:
    return facts.model_type.startswith("siglip")


def _refuse_long(texts: list[str], tokenizer: Any, facts: ModelFacts) -> None:
    """What is cut off a label is a label that nobody asked for."""
    for text, ids in zip(texts, tokenizer(texts)["input_ids"], strict=True):
        if facts.max_length is not None and len(ids) > facts.max_length:
            raise ConfigError(
                f"options.labels: {text!r} has {len(ids)} tokens, more than the {facts.max_length} "
                "that this model takes; shorten the label, its description or the template"
            )
