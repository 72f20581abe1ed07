"""automatic-speech-recognition: what is said in each sound, with times if wanted.

Two kinds of model. CTC (wav2vec2, HuBERT, WavLM and their like) names a token for each frame; a
long sound is heard in overlapping pieces, and each frame is taken from the piece that has more
around it (`ops.ctc`). Whisper writes a text for each window of at most 30 seconds; the windows of a
long sound overlap, and their texts are joined (`ops.whisper`): it is transformers' chunked long
form, not the sequential one. Times are seconds of the sound.
"""

import difflib
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from labelmill.batch import Encoded, ModelFacts, Outputs
from labelmill.config.section import Section
from labelmill.errors import ConfigError, ModelError
from labelmill.ops import hearing, speech
from labelmill.readouts import FrameTokens, Readout, Transcription
from labelmill.tasks import Fields, Work

_SIMILAR = 0.9  # share of characters in common that makes two transcripts of CTC the same
_WHISPER_ONLY = ("language", "translate", "max_new_tokens", "num_beams")
_TIMES = {"ctc": ("none", "char", "word"), "whisper": ("none", "segment")}


class AutomaticSpeechRecognitionOptions(Section):
    """Options of automatic-speech-recognition."""

    timestamps: Literal["none", "char", "word", "segment"] = Field(
        default="none",
        description="Also list the pieces of the transcript with their times: char or word of CTC "
        "models, segment of Whisper.",
    )
    chunk_seconds: Annotated[float, Field(ge=1)] = Field(
        default=30,
        description="A longer sound is heard in overlapping pieces of so many seconds, each by "
        "itself; Whisper takes no more than 30, and its sequential way through a long sound, where "
        "each window starts at the last time of the one before, is not done.",
    )
    stride_seconds: Annotated[float, Field(ge=0.1)] | None = Field(
        default=None,
        description="Seconds at either end of a piece that its neighbour knows better; null: a "
        "sixth of chunk_seconds.",
    )
    max_seconds: Annotated[float, Field(gt=0)] = Field(
        default=3600, description="A longer sound is rejected before it is decoded."
    )
    language: str | None = Field(
        default=None,
        description="What is spoken, as code or English name (Whisper); null: the model says, for "
        "each piece.",
    )
    translate: bool = Field(
        default=False, description="Write English whatever is spoken (Whisper)."
    )
    num_beams: Annotated[int, Field(ge=1)] = Field(
        default=1, description="Texts that are weighed against each other; 1: greedy (Whisper)."
    )
    max_new_tokens: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Tokens written of a piece (Whisper); null: as many as the model can.",
    )


class AutomaticSpeechRecognition:
    """See the module."""

    name: ClassVar[str] = "automatic-speech-recognition"
    auto_class: ClassVar[str] = "AutoModelForCTC"
    processor: ClassVar[str] = "AutoProcessor"
    fields: ClassVar[tuple[str, ...]] = ("audio:media",)
    work: ClassVar[Work] = "media"
    metrics: ClassVar[tuple[str, ...]] = ("wer", "cer")
    checked: ClassVar[bool] = True
    Options: ClassVar[type[Section]] = AutomaticSpeechRecognitionOptions

    def model_class(self, facts: ModelFacts, options: AutomaticSpeechRecognitionOptions) -> str:
        """See `tasks.model_class`."""
        del options
        return "AutoModelForSpeechSeq2Seq" if _kind(facts) == "whisper" else self.auto_class

    def is_checked(self, facts: ModelFacts) -> bool:
        """See `tasks.is_checked`; what Whisper writes parts ways at the first near tie."""
        return _kind(facts) == "ctc"

    def encode(
        self,
        fields: Fields,
        processor: Any,
        facts: ModelFacts,
        options: AutomaticSpeechRecognitionOptions,
    ) -> Encoded:
        """See Task and `ops.hearing.encoded`."""
        extractor = processor.feature_extractor
        pieces = _pieces(extractor, facts, options)
        return hearing.encoded(fields["audio"], extractor, facts, pieces, options.max_seconds)

    def readout(
        self, processor: Any, facts: ModelFacts, options: AutomaticSpeechRecognitionOptions
    ) -> Readout:
        """See Task."""
        del processor
        if _kind(facts) == "ctc":
            return FrameTokens()
        return Transcription(
            language=options.language,
            task="translate" if options.translate else "transcribe",
            timestamps=options.timestamps == "segment",
            max_new_tokens=options.max_new_tokens,
            num_beams=options.num_beams,
        )

    def decode(
        self,
        outputs: Outputs,
        encoded: Encoded,
        fields: Fields,
        processor: Any,
        facts: ModelFacts,
        options: AutomaticSpeechRecognitionOptions,
    ) -> pa.Table:
        """See Task."""
        pieces = _pieces(processor.feature_extractor, facts, options)
        how = options.timestamps
        if _kind(facts) == "ctc":
            said = speech.spelled(outputs, encoded, processor, facts, pieces, how)
        else:
            said = speech.written(outputs, encoded, processor, pieces, how)
        return speech.columns(said, len(fields["audio"]), self.schema(facts, options))

    def schema(self, facts: ModelFacts, options: AutomaticSpeechRecognitionOptions) -> pa.Schema:
        """See Task; raises ConfigError for options that do nothing with this model."""
        kind = _kind(facts)
        _refuse_idle(kind, options)
        chunks = [] if options.timestamps == "none" else [("chunks", speech.CHUNKS)]
        return pa.schema([("transcript", pa.string()), *chunks])

    def agrees(self, ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
        """[rows] whether two transcripts are nearly the same; see _SIMILAR."""
        pairs = zip(*(table["transcript"].to_pylist() for table in (ours, reference)), strict=True)
        return np.array([_alike(one, other) for one, other in pairs], dtype=np.bool_)


def _kind(facts: ModelFacts) -> Literal["ctc", "whisper"]:
    if facts.model_type == "whisper":
        return "whisper"
    if facts.architecture.endswith("ForCTC") and facts.sound is not None:
        return "ctc"
    raise ModelError(
        f"the model is a {facts.architecture!r} of type {facts.model_type!r}; expected Whisper, or "
        "a CTC model that hears samples (wav2vec2, HuBERT, WavLM and their like)"
    )


def _refuse_idle(kind: str, options: AutomaticSpeechRecognitionOptions) -> None:
    if options.timestamps not in _TIMES[kind]:
        raise ConfigError(
            f"options.timestamps: this model is of the kind {kind!r} and gives no times of "
            f"{options.timestamps!r}; expected {' or '.join(map(repr, _TIMES[kind]))}"
        )
    for name in _WHISPER_ONLY if kind == "ctc" else ():
        if getattr(options, name) != type(options).model_fields[name].default:
            raise ConfigError(f"options.{name}: is for Whisper, and this is a CTC model; remove it")


def _pieces(
    extractor: Any, facts: ModelFacts, options: AutomaticSpeechRecognitionOptions
) -> hearing.Cut:
    seconds, stride = options.chunk_seconds, options.stride_seconds
    if facts.sound is None and seconds > extractor.chunk_length:
        raise ConfigError(
            f"options.chunk_seconds: {seconds:g} s are more than this model hears at once "
            f"({extractor.chunk_length} s); lower it"
        )
    overlap = seconds / 6 if stride is None else stride
    return hearing.cut(seconds, overlap, facts, extractor.sampling_rate)


def _alike(ours: str | None, reference: str | None) -> bool:
    if ours is None or reference is None:
        return ours is reference
    return difflib.SequenceMatcher(None, ours, reference, autojunk=False).ratio() >= _SIMILAR
