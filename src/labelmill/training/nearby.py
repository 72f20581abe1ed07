"""Nearby: the files of a recipe on the machine of the worker that reads them.

Workers map rows into memory and write curves line by line, which nothing behind a URL can do.
"""

import shutil
from dataclasses import replace
from pathlib import Path

from torch import distributed

from labelmill.storage import download, is_local, split_url
from labelmill.training.recipe import TrainRecipe

BOARD = "tensorboard"
_EXAMPLES = "examples"


def nearby(recipe: TrainRecipe, scratch: Path, first: bool) -> TrainRecipe:  # noqa: FBT001 - of a worker
    """The recipe with its files below `scratch`; itself where they are on a disk already.

    Called by all workers; the `first` one of each machine fetches for all that are there.
    """
    if is_local(recipe.examples):
        return recipe
    folder = scratch / _EXAMPLES
    if first and not folder.exists():  # it is there where a worker has died
        _fetch(split_url(recipe.examples)[0], folder)
    if distributed.is_initialized() and distributed.get_world_size() > 1:
        distributed.barrier()

    def here(url: str | None) -> str | None:
        return None if url is None else str(folder / split_url(url)[1])

    return replace(
        recipe,
        examples=str(here(recipe.examples)),
        validation=here(recipe.validation),
        gold=here(recipe.gold),
        board=str(scratch / BOARD),
    )


def _fetch(url: str, folder: Path) -> None:
    draft = folder.with_name(f".{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)
    download(url, draft)
    draft.rename(folder)
