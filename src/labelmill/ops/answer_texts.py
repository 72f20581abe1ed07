"""Answer texts: what a model that reads and writes is to write of each row, as its tokens.

They are tokenized as transformers tokenizes a `text_target`: by the vocabulary and with the marks
of the language that is written. A longer one is cut to what may be written when labelling, its last
token still that of the end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from labelmill.batch import Encoded, ModelFacts, Ragged
from labelmill.errors import ConfigError
from labelmill.learning import Defaults, Examples
from labelmill.ops.languages import Languages
from labelmill.ops.text_batches import batches

_T5_RATE = 1e-4


def refuse_windows(long_text: str) -> None:
    """Raise ConfigError for texts in pieces: what is to be written is of a whole text."""
    if long_text == "window":
        raise ConfigError(
            "options.long_text: 'window' reads a text in pieces, and what is to be learned belongs "
            "to the whole of it; use 'truncate', and 'window' again for labelling"
        )


def defaults(facts: ModelFacts) -> Defaults:
    """How models that write what they read are trained where the job does not say.

    T5 and its like want a higher rate with AdamW: transformers' page about T5.
    """
    usual = Defaults(batch=8)
    return replace(usual, rate=_T5_RATE) if "t5" in facts.model_type else usual


def write_for(
    processor: Any, languages: Languages, target: str | None, settings: Mapping[str, Any]
) -> None:
    """Have the tokenizer mark a text_target as of the language; None: as the checkpoint says.

    `settings` are those of GenerationConfig that make the model write the language. Raises
    nothing: `languages.write_in` judges the code.
    """
    if languages.kind != "tokens":
        return
    if target is None:
        name = "decoder_start_token_id" if languages.start else "forced_bos_token_id"
        codes = {number: code for code, number in languages.ids.items()}
        target = codes[settings[name]]
    processor.tgt_lang = target


def learned(encoded: Encoded, texts: Sequence[str], processor: Any, length: int) -> Examples:
    """What is learned of rows with one sequence each: their texts, of at most `length` tokens.

    A row whose text is blank goes into the errors, as does one that has nothing to read.
    """
    errors = {
        row: "there is nothing to be written: the target is blank"
        for row, text in enumerate(texts)
        if not text.strip()
    }
    read = set(encoded.rows.tolist())
    errors |= {
        row: "there is nothing to be read: the text has no token"
        for row in range(len(texts))
        if row not in read and row not in encoded.errors
    }
    ids = _ids([texts[row] for row in encoded.rows.tolist()], processor, length)
    return Examples(
        encoded=replace(encoded, errors={**errors, **encoded.errors}), targets={"labels": ids}
    )


def _ids(texts: Sequence[str], processor: Any, length: int) -> Ragged:
    found: list[list[int]] = []
    for batch in batches(texts):
        found += processor(text_target=batch, truncation=True, max_length=length)["input_ids"]
    return Ragged(
        values=np.array([one for ids in found for one in ids], np.int64),
        lengths=np.array([len(ids) for ids in found], np.int64),
    )
