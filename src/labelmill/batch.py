"""The nouns of prediction: encoded rows, microbatch, outputs, model facts.

Tasks make encoded rows, batching cuts them into microbatches, engines turn those into outputs.
Everything is numpy; nobody here knows a tensor, a column or a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ragged:
    """An output of unequal length a sequence: all of them end to end, in order."""

    values: Array  # [sum(lengths), ...]
    lengths: npt.NDArray[np.int64]  # [sequences]

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """[sequences + 1] where each sequence starts in `values`."""
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    def __len__(self) -> int:
        return len(self.lengths)


Outputs = Mapping[str, Array | Ragged]  # by name, e.g. "logits"; one entry a sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceFacts:
    """How a checkpoint makes embeddings, as its sentence-transformers files say."""

    pooling: str  # as readouts.Embedding calls it
    dimensions: int  # numbers in an embedding
    normalize: bool = False
    dense: tuple[str, ...] = ()  # folders of the checkpoint with its dense layers, in order
    max_length: int | None = None  # tokens a text is cut to; None: as many as the model takes
    prompts: Mapping[str, str] = field(default_factory=dict)  # by name; put before a text
    prompt_name: str | None = None  # of the prompt for who asks for none
    truncate: int | None = None  # numbers of an embedding that are kept; None: all
    pool_prompt: bool = True  # the prompt's tokens are pooled with the text's
    fault: str | None = None  # what of it we cannot do, which only matters to who wants embeddings


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundFacts:
    """How a model that hears samples, not a spectrogram, makes frames of them by convolutions."""

    stride: int  # samples from one frame to the next
    shortest: int  # samples that the shortest sound must have
    maskable: bool  # padding can be masked; else it would change what the model hears
    # Samples that the longest sound of a batch must have in training, where spans of frames are
    # masked (SpecAugment): transformers refuses a batch that is shorter than one of them.
    span: int = 1
    frames: int = 1  # of which the model gives one answer; an adapter makes one of several

    @property
    def answer(self) -> int:
        """Samples from one answer of the model to the next."""
        return self.stride * self.frames


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingFacts:
    """How a model that generates text is to do it, as its checkpoint says."""

    settings: Mapping[str, Any] = field(default_factory=dict)  # of transformers' GenerationConfig
    # The same, and the "prefix" of a text, by task (T5: "summarization", "translation_en_to_de").
    by_task: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def dense(outputs: Outputs, name: str) -> Array:
    """The output of one shape a sequence."""
    found = outputs[name]
    if isinstance(found, Ragged):
        raise TypeError(f"the output {name!r} is ragged, and the task asked for one shape")
    return found


def ragged(outputs: Outputs, name: str) -> Ragged:
    """The output of unequal length a sequence."""
    found = outputs[name]
    if not isinstance(found, Ragged):
        raise TypeError(f"the output {name!r} has one shape, and the task asked for ragged")
    return found


# What the labels of a classifier are to each other, as transformers calls it.
ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
# Lowest score of a label that is given, where several may be and the job names no other.
THRESHOLD = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What a task must know of a checkpoint, read from its config without loading weights."""

    model_type: str  # e.g. "bert"
    architecture: str  # e.g. "BertForSequenceClassification"
    labels: tuple[str, ...]  # id2label in the order of ids; () where the model has none
    problem_type: str | None  # as in transformers, e.g. single_label_classification
    max_length: int | None  # tokens an input is cut to where the job says nothing; None: never cut
    pad_token_id: int  # 0 where the model takes no tokens
    positions: int | None = None  # tokens beyond which the model breaks; None: no such end
    hidden_size: int | None = None  # numbers in a hidden state; None where the config has no such
    sentence: SentenceFacts | None = None  # None: it has no sentence-transformers files
    sound: SoundFacts | None = None  # None: it hears no samples
    writing: WritingFacts | None = None  # None: it generates no text
    # Folder of the checkpoint on this machine, for what only its own files tell.
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Model inputs of the sequences of one split, ragged: sequences lie end to end.

    A row may have several sequences (windows over a long text, candidate labels); `rows` is then
    not strictly ascending, but never descending. A row may have none: its labels are null.
    """

    rows: npt.NDArray[np.int32]  # [sequences] the row each sequence belongs to
    lengths: npt.NDArray[np.int32]  # [sequences] tokens, samples or patches: what batching counts
    # [sum(lengths)] by name, int32 or float32, e.g. "input_ids"; padded in a microbatch
    inputs: Mapping[str, Array] = field(default_factory=dict)
    # [sequences, ...] by name, e.g. "pixel_values": of one shape, never padded
    fixed: Mapping[str, Array] = field(default_factory=dict)
    # [sum(lengths)] int32 by name: what decoding wants of each token and no model does (offsets)
    marks: Mapping[str, npt.NDArray[np.int32]] = field(default_factory=dict)
    errors: Mapping[int, str] = field(default_factory=dict)  # row -> why it could not be encoded
    unit: int = 1  # entries of a sequence that cost as much as one token; 320 samples of sound
    uneven: bool = True  # sequences of unequal length may share a microbatch
    written: int = 0  # tokens that each sequence may grow by: what the model writes

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """[sequences + 1] where each sequence starts in `inputs`."""
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, sequences: npt.NDArray[np.int64], rows: npt.NDArray[np.int32]) -> "Encoded":
        """Some sequences, in the order given, as those of the `rows` [sequences]; no errors."""
        offsets = self.offsets
        spans = [np.arange(offsets[one], offsets[one + 1]) for one in sequences]
        places = np.concatenate([np.zeros(0, np.int64), *spans])
        return replace(
            self,
            rows=rows,
            lengths=self.lengths[sequences],
            inputs={name: values[places] for name, values in self.inputs.items()},
            fixed={name: values[sequences] for name, values in self.fixed.items()},
            marks={name: values[places] for name, values in self.marks.items()},
            errors={},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Padding:
    """How an engine is quickest with sequences that are padded."""

    launch: int = 0  # tokens that take as long as one more microbatch; 0: fill each microbatch up
    # Lengths that are quick, in tokens: others are padded to one where that adds little.
    multiple_of: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Microbatch:
    """The sequences of one forward pass, padded to one length, or packed: end to end."""

    sequences: npt.NDArray[np.int64]  # [batch] their places in the Encoded they come from
    lengths: npt.NDArray[np.int64]  # [batch] without padding
    # [batch, length] where ragged, "attention_mask" among them then; [batch, ...] where fixed;
    # packed: [sum(lengths)] each, and no mask
    inputs: Mapping[str, Array]
    packed: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Sequences, and the length of each with its padding."""
        mask = self.inputs.get("attention_mask")
        padded = int(self.lengths.max(initial=0)) if mask is None else mask.shape[1]
        return len(self.lengths), padded

    @property
    def size(self) -> int:
        """Entries that are computed, padding included."""
        rows, longest = self.shape
        return int(self.lengths.sum()) if self.packed else rows * longest
