"""Exporting: the best checkpoint becomes a directory that `labelmill label` takes as its model.

On a disk the directory appears whole or not at all: it is made in the state, and then given its
name. Behind a URL it is whole once `RESULTS` is there, and no model as long as config.json is not.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labelmill.errors import LedgerError
from labelmill.storage import Store, bulk, is_local, open_store, upload
from labelmill.training.model import merged
from labelmill.training.recipe import ModelRecipe
from labelmill.training.state import State

RESULTS = "training_results.json"  # a name that is no part of a model's identity
# What transformers reads of a directory beside the files of the processor.
_CONFIG = "config.json"
_DRAFT = "result"
_MODEL = (_CONFIG, "generation_config.json", "model*.safetensors", "model*.index.json", "*.py")


def export(
    recipe: ModelRecipe,
    checkpoint: Path,
    processor: Any,
    results: Mapping[str, Any],
    papers: Mapping[str, bytes],
    place: str,
) -> None:
    """Make the directory; `papers` are more files of it by name. Adapters are merged."""
    with _drafted(place) as draft:
        if recipe.lora is None:
            _copy(checkpoint, draft)
        else:
            merged(recipe, str(checkpoint)).save_pretrained(draft)
        processor.save_pretrained(draft)
        for name, content in papers.items():
            (draft / name).parent.mkdir(exist_ok=True)
            (draft / name).write_bytes(content)
        (draft / RESULTS).write_text(json.dumps(results, indent=1) + "\n", "utf-8")


@contextmanager
def _drafted(place: str) -> Iterator[Path]:
    """A directory to be filled, which becomes the one at the place."""
    if not is_local(place):
        with tempfile.TemporaryDirectory(prefix="labelmill-") as room:
            yield Path(room)
            upload(Path(room), place, last=(_CONFIG, RESULTS))
        return
    # In the state, so that the next attempt removes what a killed one has left.
    draft = State.beside(place).path / _DRAFT
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        draft.rename(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def results_of(place: str, *, begun: bool) -> dict[str, Any] | None:
    """What was written with a finished training there; None where there is nothing.

    Where the training has `begun`, the place was free, and what lies behind a URL may be a part of
    its result. Raises LedgerError for a directory that holds something else.
    """
    store = open_store(place)
    if store.kind(RESULTS) == "file":
        told: dict[str, Any] = json.loads(bulk.read(store, RESULTS))
        return told
    if _is_taken(store) and (is_local(place) or not begun):
        raise LedgerError(
            f"output.path: {place!r} is there and is no result of labelmill train (no "
            f"{RESULTS!r} in it); name a directory that does not exist"
        )
    return None


def _is_taken(store: Store) -> bool:
    return store.kind("") == "file" or bool(store.names(""))


def _copy(checkpoint: Path, draft: Path) -> None:
    for pattern in _MODEL:
        for file in checkpoint.glob(pattern):
            shutil.copyfile(file, draft / file.name)
