"""A checkpoint on this machine: which of its files count, whether they are safe, and their digest.

Only files at the top of the directory count, and in the folders that a sentence-transformers model
names as its modules; and only those that can change a result: a README, an optimizer state or
weights of another framework may come and go. Code files count where they may be run.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from labelmill.checkpoints.modules import MODULES, folders, parse
from labelmill.errors import ModelError

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")

# What transformers reads from a directory; *.txt, *.model, *.jinja and most *.json belong to
# processors.
_WANTED = ("*.json", "*.txt", "*.model", "*.tiktoken", "*.jinja", "*.safetensors")
_UNWANTED = (
    "adapter_model*",
    "all_results.json",
    "consolidated*",
    "*.fp16.safetensors",
    "LICENSE*",
    "README*",
    "*_results.json",
    "requirements*.txt",
    "trainer_state.json",
    "training_args*",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Local files of one model, pinned. Equal digests give equal results."""

    path: str  # local directory
    source: str  # what the user wrote: hub id, directory or URL
    revision: str | None  # commit, for hub ids only
    digest: str  # sha256, hex
    trust_remote_code: bool = False  # code in the directory may be run
    allow_pickle: bool = False  # weights may be pickles


def patterns(*, trust_remote_code: bool, allow_pickle: bool) -> tuple[str, ...]:
    """File name patterns of the files that count."""
    code = ("*.py",) if trust_remote_code else ()
    pickles = ("pytorch_model*.bin", "pytorch_model*.bin.index.json") if allow_pickle else ()
    return _WANTED + code + pickles


def unwanted() -> tuple[str, ...]:
    """Patterns that win over `patterns`."""
    return _UNWANTED


def chosen(names: Iterable[str], wanted: Iterable[str], modules: Collection[str] = ()) -> list[str]:
    """The names at the top, and in the folders of `modules`, that match; sorted."""
    kept = tuple(wanted)
    return sorted(name for name in names if _counts(name, kept, modules))


def _counts(name: str, wanted: Iterable[str], modules: Collection[str]) -> bool:
    folder, _, file = name.rpartition("/")
    here = not folder or folder in modules
    return here and _matches(file, wanted) and not _matches(file, _UNWANTED)


def examine(path: Path, source: str, *, trust_remote_code: bool, allow_pickle: bool) -> str:
    """The digest of a checkpoint that is whole and safe to load; raises ModelError if it is not."""
    _refuse_adapter(path, source)
    _refuse_code(path, source, trust_remote_code=trust_remote_code)
    _refuse_pickles(path, source, allow_pickle=allow_pickle)
    # An index of pickles beside safetensors is never read, and the hub gives it without its parts.
    _refuse_holes(path, source, WEIGHTS[1] if has_any(path, WEIGHTS) else PICKLED[1])
    wanted = patterns(trust_remote_code=trust_remote_code, allow_pickle=allow_pickle)
    modules = module_folders(path, source)
    return _digest(path, chosen(_files(path, modules), wanted, modules))


def module_folders(path: Path, source: str) -> tuple[str, ...]:
    """Folders whose files count too; raises ModelError for a modules.json that cannot be used."""
    listed = path / MODULES
    return folders(parse(listed.read_bytes(), source)) if listed.is_file() else ()


def read_json(path: Path, source: str) -> Mapping[str, Any]:
    """A JSON object; raises ModelError."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"model {source!r}: there is no {path.name!r} in {str(path.parent)!r}; expected a "
            "directory as transformers' save_pretrained writes it"
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(
            f"model {source!r}: {str(path)!r} cannot be read as JSON: {error}"
        ) from error
    if not isinstance(value, dict):
        raise ModelError(
            f"model {source!r}: {str(path)!r} is a {type(value).__name__}, expected an object"
        )
    return value


def has_any(path: Path, names: Iterable[str]) -> bool:
    """Whether one of the files is there."""
    return any((path / name).is_file() for name in names)


def _matches(name: str, wanted: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in wanted)


def _files(path: Path, modules: Iterable[str]) -> Iterator[str]:
    for folder in (path, *(path / module for module in modules)):
        if folder.is_dir():  # one without a file in it is lost on the way through the hub
            found = (file for file in folder.iterdir() if file.is_file())
            yield from (file.relative_to(path).as_posix() for file in found)


def _refuse_adapter(path: Path, source: str) -> None:
    if (path / "adapter_config.json").exists():
        # transformers would load it on top of another model if and only if peft is installed.
        raise ModelError(
            f"model {source!r} is an adapter ('adapter_config.json'), expected a whole model; "
            "merge it into its base model (peft: merge_and_unload, then save_pretrained) and use "
            "the result"
        )


def _refuse_code(path: Path, source: str, *, trust_remote_code: bool) -> None:
    code = read_json(path / CONFIG, source).get("auto_map")
    if code and not trust_remote_code:
        raise ModelError(
            f"model {source!r} brings its own code (auto_map {code!r} in config.json); read it, "
            "then set model.trust_remote_code to true, or choose a model that transformers itself "
            "knows"
        )


def _refuse_pickles(path: Path, source: str, *, allow_pickle: bool) -> None:
    if has_any(path, WEIGHTS) or (allow_pickle and has_any(path, PICKLED)):
        return
    if has_any(path, PICKLED):
        raise ModelError(
            f"model {source!r} has its weights only as pickles ('pytorch_model.bin'), which can "
            "run code when read; convert them to safetensors, or set model.allow_pickle to true"
        )
    raise ModelError(
        f"model {source!r}: no weights in {str(path)!r}; expected 'model.safetensors' or an index "
        "of parts"
    )


def _refuse_holes(path: Path, source: str, index: str) -> None:
    if not (path / index).exists():
        return
    parts = set(dict(read_json(path / index, source).get("weight_map", {})).values())
    missing = sorted(part for part in parts if not (path / part).is_file())
    if missing:
        raise ModelError(
            f"model {source!r} is incomplete: {index!r} names {missing[0]!r} ({len(missing)} "
            f"missing of {len(parts)}), which is not in {str(path)!r}; copy or download it again"
        )


def _digest(path: Path, names: Iterable[str]) -> str:
    whole = hashlib.sha256()
    for line in _lines(path, names):
        whole.update(line.encode())
    return whole.hexdigest()


def _lines(path: Path, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        with (path / name).open("rb") as file:
            yield f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n"
