"""Directories that `datasets` wrote (`save_to_disk`): which of their files hold rows.

Such a directory has state.json, which lists its data files, dataset_info.json, and perhaps caches
of earlier transformations, whose names end like data's. Nothing else is known of it.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from labelmill.errors import InputError
from labelmill.storage import Entry, join, open_file

_STATE, _INFO, _SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
_LARGEST = 64 << 20  # bytes of a state.json
# As earlier versions of `datasets` called the order that select, shuffle or sort left behind.
_INDICES = ("_indices_data_files", "_indices_files")


def without_rows(root: str, entries: Sequence[Entry]) -> frozenset[str]:
    """Paths of the files of saved datasets that hold no rows: descriptions and caches.

    Raises InputError where rows are only complete together with an order kept beside them, and
    where a data file is missing.
    """
    paths = {entry.path for entry in entries}
    return frozenset(
        path
        for entry in entries
        if entry.path.rpartition("/")[2] == _STATE and entry.size <= _LARGEST
        for path in _of_directory(root, entry.path.removesuffix(_STATE), paths)
    )


def _of_directory(root: str, folder: str, paths: set[str]) -> Iterator[str]:
    """`folder` is '' or ends with '/'."""
    state = _state(join(root, folder + _STATE)) if folder + _INFO in paths else None
    if state is None:
        return
    if any(state.get(key) for key in _INDICES):
        raise InputError(
            f"{join(root, folder)!r} keeps the order of its rows apart from them (select, shuffle "
            "or sort); call flatten_indices() on the dataset and save it again"
        )
    files = {folder + str(file["filename"]) for file in state["_data_files"]}
    if files - paths:
        missing = min(files - paths)
        raise InputError(f"{join(root, missing)!r} is listed in {_STATE} but is not there")
    beside = (path for path in paths if path.rpartition("/")[0] == folder.rstrip("/"))
    yield from (path for path in beside if path.endswith(".arrow") and path not in files)
    yield from {folder + _STATE, folder + _INFO, _parent(folder) + _SPLITS} & paths


def _state(url: str) -> dict[str, Any] | None:
    """What state.json says; None where it is another program's."""
    with open_file(url) as file:
        try:
            state = json.loads(file.read())
        except ValueError:
            return None
    if isinstance(state, dict) and isinstance(state.get("_data_files"), list):
        return state
    return None


def _parent(folder: str) -> str:
    above = folder.rstrip("/").rpartition("/")[0]
    return f"{above}/" if above else ""
