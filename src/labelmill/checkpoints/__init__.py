"""Checkpoints: a hub id or directory becomes pinned local files that are safe to load.

Nothing here loads weights. A checkpoint is known by the digest of the files that can change a
result, and what a task must know of it (`facts`, `processor`) is read from its own files.

What reads those files imports transformers and so torch, which costs a process seconds. Most worker
processes only carry a Checkpoint or a FastTokenizer, so the rest is imported when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from labelmill.checkpoints.checkpoint import Checkpoint
from labelmill.checkpoints.tokenizer import FastTokenizer

if TYPE_CHECKING:
    from labelmill.checkpoints.loading import facts, fast_tokenizer, padding_id, processor
    from labelmill.checkpoints.resolving import localize, resolve

__all__ = [
    "Checkpoint",
    "FastTokenizer",
    "facts",
    "fast_tokenizer",
    "localize",
    "padding_id",
    "processor",
    "resolve",
]
_HOMES = {
    "facts": "loading",
    "fast_tokenizer": "loading",
    "padding_id": "loading",
    "processor": "loading",
    "localize": "resolving",
    "resolve": "resolving",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
