"""Readouts: what an engine brings back of a model, in words that tasks and engines share.

A task says what it needs; an engine does the work on its device, so that a split's whole vocabulary
of logits never leaves it. An engine that does not know a readout says so when it loads.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Ids = tuple[int, ...]
Pooling = Literal["cls", "mean", "max", "last", "pooler"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Logits:
    """One vector a sequence: "logits" [sequences, labels], float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogits:
    """One vector a token: each name a Ragged [tokens, ...], float32, special tokens included.

    Where the model makes fewer frames than it got inputs (sound), a sequence has its frames.
    """

    names: tuple[str, ...] = ("logits",)  # question answering: start_logits, end_logits


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTokens:
    """The likeliest token of each frame of a sound: Ragged "ids" int64 and "logit" float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedTokens:
    """The likeliest tokens at each mask: Ragged "ids" int64 and "scores" float32 [masks, count].

    Scores are softmax probabilities over the whole vocabulary; with `targets`, only these tokens
    are ranked, by their scores over the whole vocabulary.
    """

    mask_token_id: int
    count: int
    targets: Ids = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """One vector a sequence: "embedding" [sequences, dimensions] float32.

    With `anchors` (token ids of texts) it is "similarity" [sequences, anchors] instead: the cosine
    of the sequence's embedding and each anchor's.
    """

    pooling: Pooling = "mean"
    normalize: bool = True
    dimensions: int | None = None  # the first so many; normalized after the cut
    skip: int = 0  # tokens at the head of each sequence (its prompt) that are left out of pooling
    dense: tuple[
        str, ...
    ] = ()  # folders of the checkpoint with sentence-transformers' Dense layers
    anchors: tuple[Ids, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageText:
    """Each image against texts: "logits" [sequences, texts] float32, as the model scales them."""

    texts: tuple[Ids, ...]  # token ids of each, all of one length, special tokens and padding in
    masks: tuple[Ids, ...] = ()  # 0 where a token is padding; (): the model sees every token


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """Tokens that the model writes: Ragged "ids" int64 and "finish" int64 [sequences].

    `ids` are the new tokens, without the prompt, a decoder's start and what ended them; `finish` is
    an index of FINISH. `settings` are fields of transformers' GenerationConfig laid over the
    checkpoint's own.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    max_new_tokens: int = 128
    sample: bool = False  # a sequence then has its seed in the fixed input "seed", int64
    stop: tuple[str, ...] = ()  # text that ends the writing; it is cut off by the task


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcription:
    """What a Whisper model hears in each window of sound: Ragged "ids" int64.

    `ids` begin with the tokens of language and task, and end before the token of the end; with
    `timestamps` there are tokens of time among them.
    """

    language: str | None = None  # code, name or token; None: the model says, for each window
    task: Literal["transcribe", "translate"] = "transcribe"  # translate: into English
    timestamps: bool = False
    max_new_tokens: int | None = None  # None: as many as the model has positions for
    num_beams: int = 1


FINISH = ("stop", "length")  # the model or a stop string ended the text, or max_new_tokens did

Readout = (
    Logits
    | TokenLogits
    | FrameTokens
    | MaskedTokens
    | Embedding
    | ImageText
    | Generation
    | Transcription
)
