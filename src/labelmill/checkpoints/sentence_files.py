"""Sentence files: how a model makes embeddings, written down as sentence-transformers reads it.

The inverse of `sentences`. The names and flags are those that all versions of that library know.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelmill.batch import SentenceFacts
from labelmill.checkpoints.modules import MODULES

_FLAGS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "last": "pooling_mode_lasttoken",
}
_PACKAGE = "sentence_transformers.models"


def sentence_files(facts: SentenceFacts, width: int, source: Path) -> dict[str, bytes]:
    """The files by their names in the checkpoint, except those of the transformer itself.

    `width` is that of the hidden states. Dense layers are those in the directory `source`.
    """
    folders = ["", "1_Pooling", *facts.dense]
    kinds = ["Transformer", "Pooling", *("Dense" for _ in facts.dense)]
    if facts.normalize:
        folders.append(f"{len(folders)}_Normalize")
        kinds.append("Normalize")
    modules = [
        {"idx": number, "name": str(number), "path": folder, "type": f"{_PACKAGE}.{kind}"}
        for number, (folder, kind) in enumerate(zip(folders, kinds, strict=True))
    ]
    pooling = {flag: facts.pooling == name for name, flag in _FLAGS.items()}
    cut = {} if facts.truncate is None else {"truncate_dim": facts.truncate}
    files = {
        MODULES: _json(modules),
        "1_Pooling/config.json": _json(
            {"word_embedding_dimension": width, **pooling, "include_prompt": facts.pool_prompt}
        ),
        "sentence_bert_config.json": _json(
            {"max_seq_length": facts.max_length, "do_lower_case": False}
        ),
        "config_sentence_transformers.json": _json(
            {
                "prompts": dict(facts.prompts),
                "default_prompt_name": facts.prompt_name,
                "similarity_fn_name": "cosine",
                **cut,
            }
        ),
    }
    for folder in facts.dense:
        for path in sorted((source / folder).iterdir()):
            files[f"{folder}/{path.name}"] = path.read_bytes()
    return files


def _json(value: Mapping[str, Any] | list[dict[str, Any]]) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
