"""audio-classification: labels with scores, or a number, for each sound.

What the logits mean is said in `ops.labels`. Models that hear samples (wav2vec2, HuBERT, WavLM)
hear a sound whole; those that look at a spectrogram of one shape (AST, Whisper) see as much of its
head as fits. With `chunk_seconds` either kind hears all of it piece by piece, and the scores are
the mean of the pieces', each weighted by its length.
"""

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from labelmill.batch import Encoded, ModelFacts, Outputs
from labelmill.config.section import Section
from labelmill.ops import hearing, labels, windows
from labelmill.readouts import Logits, Readout
from labelmill.tasks import Fields, Work


class AudioClassificationOptions(Section):
    """Options of audio-classification."""

    scores: Literal["best", "all"] | Annotated[int, Field(ge=1)] = Field(
        default="best", description="Also list the scores of all labels, or of the k best."
    )
    threshold: Annotated[float, Field(ge=0, le=1)] = Field(
        default=labels.THRESHOLD,
        description="Lowest score of a label that is given, where several may be.",
    )
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
            schema = self.schema(facts, options)
            return pa.table([pa.nulls(rows, field.type) for field in schema], schema=schema)
        given = labels.activated(outputs["logits"], facts)
        present, means = windows.row_means(given, encoded, hearing.durations(encoded))
        table = labels.columns(means, facts, options.scores, options.threshold)
        return labels.stretched(table, present, rows)

    def schema(self, facts: ModelFacts, options: AudioClassificationOptions) -> pa.Schema:
        """See Task; raises ConfigError for options that do nothing with this model."""
        labels.refuse_idle(facts, options.scores, options.threshold)
        return labels.schema(facts, options.scores)

    def agrees(self, ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
        """See `ops.labels.agree`."""
        return labels.agree(ours, reference)
