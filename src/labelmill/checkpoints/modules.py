"""Modules: what a sentence-transformers directory is made of, as its modules.json says.

The first module is the transformer itself; the others (pooling, dense layers) have folders of their
own, whose files count as the model's do. Nothing here opens those.
"""

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from labelmill.errors import ModelError

MODULES = "modules.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One step from texts to embeddings."""

    kind: str  # class name without its package, e.g. "Pooling"
    folder: str  # in the checkpoint; "" is its top


def parse(content: bytes, source: str) -> tuple[Module, ...]:
    """The modules in their order; raises ModelError where the file does not list any."""
    try:
        listed = json.loads(content)
        return tuple(_module(entry) for entry in listed)
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"model {source!r}: {MODULES!r} cannot be used ({error!r}); expected a list of "
            "modules, each with a 'type' and a 'path' inside the checkpoint, as "
            "sentence-transformers writes it"
        ) from error


def folders(modules: tuple[Module, ...]) -> tuple[str, ...]:
    """The folders whose files count, sorted."""
    return tuple(sorted({module.folder for module in modules if module.folder}))


def _module(entry: Any) -> Module:
    folder = PurePosixPath(entry["path"])
    if folder.is_absolute() or ".." in folder.parts or "\\" in entry["path"]:
        raise ValueError(f"the path {entry['path']!r} leads out of the checkpoint")
    inside = "" if folder == PurePosixPath() else str(folder)
    return Module(kind=str(entry["type"]).rpartition(".")[2], folder=inside)
