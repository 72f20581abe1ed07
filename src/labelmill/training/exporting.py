"""Exporting: the best checkpoint becomes a directory that `labelmill label` takes as its model.

The directory appears whole or not at all: it is made beside its place, and then given its name.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelmill.errors import LedgerError
from labelmill.training.model import merged
from labelmill.training.recipe import ModelRecipe

RESULTS = "training_results.json"  # a name that is no part of a model's identity
# What transformers reads of a directory beside the files of the processor.
_MODEL = ("config.json", "generation_config.json", "model*.safetensors", "model*.index.json")


def export(
    recipe: ModelRecipe,
    checkpoint: Path,
    processor: Any,
    results: Mapping[str, Any],
    papers: Mapping[str, bytes],
    place: Path,
) -> None:
    """Make the directory; `papers` are more files of it by name. Adapters are merged."""
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        if recipe.lora is None:
            _copy(checkpoint, draft)
        else:
            merged(recipe, str(checkpoint)).save_pretrained(draft)
        processor.save_pretrained(draft)
        for name, content in papers.items():
            (draft / name).parent.mkdir(exist_ok=True)
            (draft / name).write_bytes(content)
        (draft / RESULTS).write_text(json.dumps(results, indent=1) + "\n", "utf-8")
        draft.chmod(0o755)
        draft.rename(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def results_of(place: Path) -> dict[str, Any] | None:
    """What was written with a finished training there; None where there is nothing.

    Raises LedgerError for a directory that holds something else.
    """
    path = place / RESULTS
    if path.is_file():
        told: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return told
    if place.exists() and (place.is_file() or any(place.iterdir())):
        raise LedgerError(
            f"output.path: {str(place)!r} is there and is no result of labelmill train (no "
            f"{RESULTS!r} in it); name a directory that does not exist"
        )
    return None


def _copy(checkpoint: Path, draft: Path) -> None:
    for pattern in _MODEL:
        for file in checkpoint.glob(pattern):
            shutil.copyfile(file, draft / file.name)
