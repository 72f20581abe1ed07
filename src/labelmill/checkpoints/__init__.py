"""Checkpoints: a hub id, a directory or a store's directory becomes pinned and safe local files.

Nothing here loads weights. A checkpoint is known by the digest of the files that can change a
result, and what a task must know of it (`facts`, `processor`) is read from its own config and
tokenizer files.
"""

from labelmill.checkpoints.checkpoint import Checkpoint
from labelmill.checkpoints.facts import facts, processor
from labelmill.checkpoints.resolving import localize, resolve

__all__ = ["Checkpoint", "facts", "localize", "processor", "resolve"]
