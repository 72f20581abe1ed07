"""Resolving: what the user wrote as `model.path` to a Checkpoint on this machine.

A directory is used in place. A hub id is pinned to a commit and kept in the hub's own cache. A URL
of a store is copied once into a directory named after the URL and the versions of its files, beside
that cache (HF_HOME). It does not load anything, and does not know what the model is for.
"""

import hashlib
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils._validators import validate_repo_id

from labelmill.checkpoints.checkpoint import (
    WEIGHTS,
    Checkpoint,
    chosen,
    examine,
    has_any,
    module_folders,
    patterns,
    unwanted,
)
from labelmill.checkpoints.modules import MODULES, folders, parse
from labelmill.errors import ModelError
from labelmill.ops.plugins import suggestion
from labelmill.storage import Entry, Store, open_store


def resolve(
    path: str, revision: str | None, *, trust_remote_code: bool, allow_pickle: bool
) -> Checkpoint:
    """The checkpoint that `path` means, its files present, complete and safe to load.

    Raises ModelError, naming what to do; StorageError where a store or its network failed.
    """
    commit = None
    directory = _local(path)
    if directory is None and "://" in path:
        wanted = patterns(trust_remote_code=trust_remote_code, allow_pickle=allow_pickle)
        directory = _copied(path, wanted)
    elif directory is None:
        directory = _downloaded(
            path, revision, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle
        )
        commit = directory.name
    if revision is not None and commit is None:
        raise ModelError(
            f"model.revision: {revision!r} is for hub ids, but {path!r} is a directory; remove it"
        )
    digest = examine(
        directory, path, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle
    )
    return Checkpoint(
        path=str(directory),
        source=path,
        revision=commit,
        digest=digest,
        trust_remote_code=trust_remote_code,
        allow_pickle=allow_pickle,
    )


def localize(checkpoint: Checkpoint) -> Checkpoint:
    """The same checkpoint on this machine, which need not be the one that resolved it.

    Where its directory exists it is taken as it is. Raises ModelError where other files are found
    here.
    """
    if Path(checkpoint.path).is_dir():
        return checkpoint
    found = resolve(
        checkpoint.source,
        checkpoint.revision,
        trust_remote_code=checkpoint.trust_remote_code,
        allow_pickle=checkpoint.allow_pickle,
    )
    if found.digest != checkpoint.digest:
        raise ModelError(
            f"model {checkpoint.source!r} has other files on this machine (digest "
            f"{found.digest[:12]!r} in {found.path!r}) than where the job began "
            f"({checkpoint.digest[:12]!r}); make them the same"
        )
    return replace(checkpoint, path=found.path)


def _local(path: str) -> Path | None:
    """The directory that is meant, None for a URL or hub id; raises ModelError for a lost path."""
    directory = Path(path.removeprefix("file://")).expanduser()
    if directory.is_dir():
        return directory.resolve()
    if directory.is_file():
        raise ModelError(
            f"model.path: {path!r} is a file, expected the directory that holds config.json"
        )
    if "://" in path and not path.startswith("file://"):
        return None
    if path.startswith((".", "/", "~", "file://")) or path.count("/") > 1 or "\\" in path:
        raise ModelError(
            f"model.path: {path!r} looks like a directory, but there is none{_near(directory)}"
        )
    return None


def _near(directory: Path) -> str:
    """A directory beside it of nearly that name, as the end of a message."""
    parent = directory.parent
    names = [entry.name for entry in parent.iterdir() if entry.is_dir()] if parent.is_dir() else []
    return suggestion(directory.name, names)


def _downloaded(
    name: str, revision: str | None, *, trust_remote_code: bool, allow_pickle: bool
) -> Path:
    """The hub's snapshot; pickles are fetched only where there are no safetensors."""
    try:
        validate_repo_id(name)
        directory = _snapshot(
            name, revision, patterns(trust_remote_code=trust_remote_code, allow_pickle=False)
        )
        if allow_pickle and not has_any(directory, WEIGHTS):
            wanted = patterns(trust_remote_code=trust_remote_code, allow_pickle=True)
            directory = _snapshot(name, directory.name, wanted)
        _download_modules(
            name,
            directory,
            patterns(trust_remote_code=trust_remote_code, allow_pickle=allow_pickle),
        )
    except (OSError, HFValidationError) as error:
        raise ModelError(_hub_message(name, revision, error)) from error
    return directory


def _snapshot(name: str, revision: str | None, wanted: tuple[str, ...]) -> Path:
    ignored = ["*/*", *unwanted()]
    found = snapshot_download(
        name, revision=revision, allow_patterns=list(wanted), ignore_patterns=ignored
    )
    return Path(found)


def _download_modules(name: str, directory: Path, wanted: tuple[str, ...]) -> None:
    """The files of a sentence-transformers model that lie in folders, into the same snapshot."""
    inside = [f"{folder}/{file}" for folder in module_folders(directory, name) for file in wanted]
    if inside:
        snapshot_download(
            name,
            revision=directory.name,
            allow_patterns=inside,
            ignore_patterns=[f"*/{file}" for file in unwanted()],
        )


def _hub_message(name: str, revision: str | None, error: Exception) -> str:
    where = f"model.path: {name!r} is no directory here{_near(Path(name))}, and as a hub id"
    match error:
        case HFValidationError():
            return f"{where} it is not well formed: {error}"
        case GatedRepoError():
            return f"{where} it is gated; ask for access there, then log in with 'hf auth login'"
        case RepositoryNotFoundError():
            return f"{where} it does not exist or is private; correct it, or 'hf auth login' first"
        case RevisionNotFoundError():
            return f"model.revision: {name!r} has no {revision!r}; expected a branch, tag or commit"
        case LocalEntryNotFoundError():
            return (
                f"{where} it is not, or not wholly, in the cache {constants.HF_HUB_CACHE!r}, and "
                "the hub cannot be reached; unset HF_HUB_OFFLINE or restore the network, or run "
                f"'hf download {name}' elsewhere and give the directory"
            )
    return f"{where} it could not be downloaded ({error!r}); try again, or give a directory"


def _copied(url: str, wanted: tuple[str, ...]) -> Path:
    """The local copy of a store's directory, made now if it is not there."""
    store = open_store(url)
    entries = {entry.path: entry for entry in store.list()}
    names = chosen(entries, wanted, _module_folders(store, url) if MODULES in entries else ())
    if not names:
        raise ModelError(
            f"model.path: {url!r} holds no model files; expected config.json, weights, tokenizer"
        )
    home = Path(constants.HF_HOME) / "labelmill"
    final = home / _key(url, [entries[name] for name in names])
    if not final.is_dir():
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home) as scratch:
            _fill(Path(scratch) / "copy", store, names)
            _settle(Path(scratch) / "copy", final)
    return final


def _module_folders(store: Store, url: str) -> tuple[str, ...]:
    with store.open(MODULES) as file:
        return folders(parse(file.read(), url))


def _key(url: str, entries: list[Entry]) -> str:
    facts = [url, *(f"{entry.path} {entry.size} {entry.version}" for entry in entries)]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]


def _fill(directory: Path, store: Store, names: list[str]) -> None:
    directory.mkdir()
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        with store.open(name) as source, (directory / name).open("xb") as target:
            shutil.copyfileobj(source, target, 1 << 20)


def _settle(directory: Path, final: Path) -> None:
    """Give a whole copy its name; another process that was faster has made the same one."""
    try:
        directory.rename(final)
    except OSError:
        if not final.is_dir():
            raise
