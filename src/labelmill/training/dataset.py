"""Dataset: the rows of a Hugging Face dataset, as the Arrow files that `datasets` made of them.

`datasets` fetches and converts what it does not have yet, and keeps it; without a network it takes
what it has. The files lie in a folder that is named after the commit, or after the names, sizes and
times of local files, so that the folder's name is their version.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import datasets
from huggingface_hub.errors import HfHubHTTPError

from labelmill.config.data import DataSection, DatasetSection
from labelmill.errors import InputError
from labelmill.splits import Shard
from labelmill.training.corpus import Shards, at

_ERRORS = (OSError, ValueError, HfHubHTTPError, datasets.exceptions.DatasetsError)


def sources(data: DataSection) -> Iterator[Callable[[], Shards]]:
    """What finds the files to learn from, and, where the job names any, those to measure by."""
    dataset = data.dataset
    if dataset is None:
        yield partial(at, data.train or (), data.format)
    else:
        yield partial(shards, dataset, dataset.train)
    if data.validation is not None:
        yield partial(at, data.validation, data.format)
    elif dataset is not None and dataset.validation is not None:
        yield partial(shards, dataset, dataset.validation)


def shards(section: DatasetSection, split: str) -> Shards:
    """The files of one split; raises InputError where it is not there or cannot be read."""
    try:
        with _quiet():
            rows: Any = datasets.load_dataset(
                section.path,
                section.name,
                split=split,
                revision=section.revision,
                keep_in_memory=False,
            )
    except _ERRORS as error:
        raise InputError(
            f"data.dataset: split {split!r} of {section.path!r} cannot be loaded: {_words(error)}"
        ) from error
    return tuple(_shard(Path(file["filename"])) for file in rows.cache_files)


def _shard(path: Path) -> Shard:
    return Shard(
        path=path.name,
        url=str(path),
        format="arrow",
        size=path.stat().st_size,
        version=path.parent.name,
    )


def _words(error: Exception) -> str:
    cause: BaseException = error.__cause__ or error  # its own says no more than that it failed
    return " ".join(str(cause).split())


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars of its own."""
    shown = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not shown:
            datasets.enable_progress_bars()
