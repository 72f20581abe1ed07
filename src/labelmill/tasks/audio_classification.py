"""audio-classification: labels with scores, or a number, for each sound.

What the logits mean is said in `ops.labels`. Models that hear samples (wav2vec2, HuBERT, WavLM)
hear a sound whole; those that look at a spectrogram of one shape (AST, Whisper) see as much of its
head as fits. With `chunk_seconds` either kind hears all of it piece by piece, and the scores are
the mean of the pieces', each weighted by its length. When a model is trained, each piece is to get
the label of its sound; sounds of a batch are then padded, also for models that cannot mask it
(group norm, wav2vec2-base), which so hear silence after a shorter one, as transformers has it.
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
from labelmill.ops import hearing, labels, windows
from labelmill.ops import targets as classes  # `targets` is a parameter in what follows
from labelmill.readouts import Logits, Readout
from labelmill.tasks import Fields, Work


class AudioClassificationOptions(LabelsSection):
    """Options of audio-classification."""

    chunk_seconds: Annotated[float, Field(ge=0.1)] | None = Field(
        default=None,
        description="Hear a longer sound in pieces of so many seconds; null: whole, or as much of "
        "its head as the model takes.",
    )
    max_seconds: Annotated[float, Field(gt=0)] = Field(
        default=600, description="A longer sound is rejected before it is decoded."
    )


class AudioClassification:
    """See the module."""

    name: ClassVar[str] = "audio-classification"
    auto_class: ClassVar[str] = "AutoModelForAudioClassification"
    processor: ClassVar[str] = "AutoFeatureExtractor"
    fields: ClassVar[tuple[str, ...]] = ("audio:media",)
    targets: ClassVar[tuple[str, ...]] = ("label:json",)
    finds_head: ClassVar[bool] = True
    work: ClassVar[Work] = "media"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "f1_macro")
    checked: ClassVar[bool] = True
    Options: ClassVar[type[Section]] = AudioClassificationOptions

    def encode(
        self,
        fields: Fields,
        processor: Any,
        facts: ModelFacts,
        options: AudioClassificationOptions,
    ) -> Encoded:
        """See Task; raises ModelError for a kind of model that `ops.hearing` does not know."""
        pieces = None
        if options.chunk_seconds is not None:
            pieces = hearing.cut(options.chunk_seconds, 0, facts, processor.sampling_rate)
        return hearing.encoded(fields["audio"], processor, facts, pieces, options.max_seconds)

    def readout(
        self, processor: Any, facts: ModelFacts, options: AudioClassificationOptions
    ) -> Readout:
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
        options: AudioClassificationOptions,
    ) -> pa.Table:
        """See Task; raises ModelError where the model gives more or fewer scores than labels."""
        del processor
        rows = len(fields["audio"])
        if not len(encoded):
            return labels.unlabelled(self.schema(facts, options), rows)
        told = labels.told(facts, options.labels, options.problem_type)
        given = labels.activated(dense(outputs, "logits"), told)
        present, means = windows.row_means(given, encoded, hearing.durations(encoded))
        table = labels.columns(means, told, options.scores, options.threshold)
        return labels.stretched(table, present, rows)

    def schema(self, facts: ModelFacts, options: AudioClassificationOptions) -> pa.Schema:
        """See Task; raises ConfigError for options that do nothing with this model."""
        told = labels.told(facts, options.labels, options.problem_type)
        labels.refuse_idle(told, options.scores, options.threshold)
        return labels.schema(told, options.scores)

    def head(self, targets: Fields, facts: ModelFacts, options: AudioClassificationOptions) -> Head:
        """See Trainable."""
        return classes.head(targets["label"], facts, options.labels, options.problem_type)

    def defaults(self, facts: ModelFacts) -> Defaults:
        """See `training_defaults`: as in transformers' guide to the task, in fewer epochs."""
        del facts
        return Defaults(epochs=5, rate=3e-5, batch=32)

    def objective(self, facts: ModelFacts, options: AudioClassificationOptions) -> Objective:
        """See Trainable: by the problem type."""
        del options
        return classes.objective(facts)

    def learn(
        self,
        fields: Fields,
        targets: Fields,
        processor: Any,
        facts: ModelFacts,
        options: AudioClassificationOptions,
    ) -> Examples:
        """See Trainable."""
        encoded = self.encode(fields, processor, facts, options)
        return classes.examples(encoded, targets["label"], facts)

    def agrees(self, ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
        """See `ops.labels.agree`."""
        return labels.agree(ours, reference)
