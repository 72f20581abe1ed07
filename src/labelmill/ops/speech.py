"""Speech: what the pieces of each sound say, as one transcript with its parts and their times.

It puts together what `ops.ctc` and `ops.whisper` know of each kind of model.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from labelmill.batch import Encoded, ModelFacts, Outputs, Ragged
from labelmill.ops import ctc, hearing, whisper

CHUNKS = pa.list_(
    pa.struct([("text", pa.string()), ("start", pa.float64()), ("end", pa.float64())])
)

Part = dict[str, str | float | None]  # as in CHUNKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is said in one sound."""

    transcript: str
    parts: list[Part]


def spelled(
    outputs: Outputs,
    encoded: Encoded,
    processor: Any,
    facts: ModelFacts,
    pieces: hearing.Cut,
    timestamps: str,
) -> dict[int, Said]:
    """By row, what a CTC model heard (readout FrameTokens); parts are "char" or "word"."""
    ids = _each(outputs)
    letters = ctc.alphabet(processor.tokenizer, np.concatenate([np.zeros(0, np.int64), *ids]))
    assert facts.sound is not None  # noqa: S101 - else it were no CTC model
    frame, rate = facts.sound.answer, processor.feature_extractor.sampling_rate
    totals = [round(samples / frame) for samples in hearing.durations(encoded).tolist()]
    said: dict[int, Said] = {}
    for row, places in _rows(encoded):
        whole = ctc.joined(
            [ids[place] for place in places],
            pieces.stride // frame,
            [totals[place] for place in places],
        )
        heard = ctc.characters(whole, letters)
        timed = ctc.words(heard, letters) if timestamps == "word" else heard
        parts = [_part(one.text, one.start * frame / rate, one.end * frame / rate) for one in timed]
        said[row] = Said(transcript=ctc.text(heard, processor.tokenizer), parts=parts)
    return said


def written(
    outputs: Outputs, encoded: Encoded, processor: Any, pieces: hearing.Cut, timestamps: str
) -> dict[int, Said]:
    """By row, what a Whisper model heard (readout Transcription); parts are "segment"."""
    ids, tokenizer = _each(outputs), processor.tokenizer
    rate = processor.feature_extractor.sampling_rate
    known = whisper.vocabulary(tokenizer, processor.feature_extractor)
    said: dict[int, Said] = {}
    for row, places in _rows(encoded):
        windows = [ids[place] for place in places]
        if timestamps == "none":
            text = tokenizer.decode(whisper.joined([whisper.spoken(one, known) for one in windows]))
            said[row] = Said(transcript=text.strip(), parts=[])
            continue
        heard = whisper.on_one_clock(
            [whisper.segments(one, known) for one in windows],
            pieces.size / rate,
            pieces.stride / rate,
        )
        texts = [tokenizer.decode(one.ids) for one in heard]
        parts = [
            _part(text.strip(), one.start, one.end) for text, one in zip(texts, heard, strict=True)
        ]
        said[row] = Said(transcript="".join(texts).strip(), parts=parts)
    return said


def columns(said: Mapping[int, Said], rows: int, schema: pa.Schema) -> pa.Table:
    """The transcripts, and their parts where the schema has `chunks`; null for rows unsaid."""
    heard = [said.get(row) for row in range(rows)]
    arrays = [pa.array([one and one.transcript for one in heard], pa.string())]
    if "chunks" in schema.names:
        arrays.append(pa.array([one and one.parts for one in heard], CHUNKS))
    return pa.table(arrays, schema=schema)


def _part(text: str, start: float, end: float | None) -> Part:
    return {"text": text, "start": start, "end": end}


def _rows(encoded: Encoded) -> Iterator[tuple[int, list[int]]]:
    """Each row that has a piece, with the places of its pieces."""
    rows, starts = np.unique(encoded.rows, return_index=True)
    places = np.split(np.arange(len(encoded)), starts[1:])
    yield from zip(rows.tolist(), (some.tolist() for some in places), strict=True)


def _each(outputs: Outputs) -> list[ctc.Ids]:
    """The ids of each sequence."""
    ids = outputs["ids"]
    assert isinstance(ids, Ragged)  # noqa: S101 - as both readouts promise
    return np.split(ids.values.astype(np.int64), ids.offsets[1:-1])
