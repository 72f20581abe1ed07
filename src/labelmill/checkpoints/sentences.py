"""Sentences: how a sentence-transformers directory makes an embedding of a text.

Its modules must be a transformer, a pooling, any number of dense layers and perhaps a
normalization, in this order; what else there may be is not refused here but told in `fault`: a
checkpoint with such files may serve tasks that want no embedding. No weights are read.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import normalizers

from labelmill.batch import SentenceFacts
from labelmill.checkpoints.checkpoint import Checkpoint, read_json
from labelmill.checkpoints.modules import MODULES, Module, parse
from labelmill.errors import ModelError

_POOLINGS = {"cls": "cls", "max": "max", "mean": "mean", "lasttoken": "last"}
# Before version 5.5 each way of pooling had a flag of its own.
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_ORDER = ("Transformer", "Pooling", "Dense", "Normalize")
_WIDTHS = {  # how the modules that change a vector's width say it
    "Pooling": ("embedding_dimension", "word_embedding_dimension"),
    "Dense": ("out_features",),
}
_PROMPTS = "config_sentence_transformers.json"
_TASK = "feature-extraction"
_EMBEDDING = "sentence_embedding"


def sentence_facts(checkpoint: Checkpoint) -> SentenceFacts | None:
    """What the files say; None where there is no modules.json. Raises ModelError."""
    path = Path(checkpoint.path)
    if not (path / MODULES).is_file():
        return None
    modules = parse((path / MODULES).read_bytes(), checkpoint.source)
    settings = [_settings(path, module, checkpoint.source) for module in modules]
    prompts = _optional(path / _PROMPTS, checkpoint.source)
    pooling = _first(modules, settings, "Pooling")
    dense = [module.folder for module in modules if module.kind == "Dense"]
    mode = _mode(pooling)
    first = settings[0] if settings else {}
    return SentenceFacts(
        pooling=_POOLINGS.get(mode, "mean"),
        dimensions=_dimensions(modules, settings),
        normalize=any(module.kind == "Normalize" for module in modules),
        dense=tuple(dense),
        max_length=first.get("max_seq_length"),
        prompts={name: text or "" for name, text in prompts.get("prompts", {}).items()},
        prompt_name=prompts.get("default_prompt_name"),
        pool_prompt=bool(pooling.get("include_prompt", True)),
        truncate=prompts.get("truncate_dim"),
        fault=_fault(modules, settings, mode),
    )


def lowers(checkpoint: Checkpoint) -> bool:
    """Whether texts are to be in lower case before the tokenizer itself sees them."""
    path = Path(checkpoint.path)
    made_so = (path / MODULES).is_file() and _top(path, checkpoint.source).get("do_lower_case")
    return bool(made_so)


def lower(tokenizer: Any, source: str) -> None:
    """Have a tokenizer of transformers do it, unless it does; raises ModelError for a slow one."""
    if not tokenizer.is_fast:
        raise ModelError(
            f"model {source!r} wants its texts in lower case (do_lower_case), which only a fast "
            "tokenizer can do; add a tokenizer.json to the model"
        )
    backend = tokenizer.backend_tokenizer
    state = json.loads(backend.normalizer.__getstate__()) if backend.normalizer else {}
    parts = state.get("normalizers", [state])
    if not any(part.get("type") == "Lowercase" for part in parts):
        rest = [backend.normalizer] if backend.normalizer else []
        backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *rest])


def _settings(path: Path, module: Module, source: str) -> Mapping[str, Any]:
    if not module.folder:
        return _top(path, source)
    return _optional(path / module.folder / "config.json", source)


def _top(path: Path, source: str) -> Mapping[str, Any]:
    """The transformer's own settings; the name of their file has changed with the years."""
    found = sorted(path.glob("sentence_*_config.json"))
    return read_json(found[0], source) if found else {}


def _optional(path: Path, source: str) -> Mapping[str, Any]:
    return read_json(path, source) if path.is_file() else {}


def _first(
    modules: Sequence[Module], settings: Sequence[Mapping[str, Any]], kind: str
) -> Mapping[str, Any]:
    found = (said for module, said in zip(modules, settings, strict=True) if module.kind == kind)
    return next(found, {})


def _mode(pooling: Mapping[str, Any]) -> str:
    """The way of pooling; several, which are concatenated, are joined by '+'."""
    said = pooling.get("pooling_mode")
    if said is None:
        said = [mode for flag, mode in _FLAGS.items() if pooling.get(flag)] or ["mean"]
    return said if isinstance(said, str) else "+".join(said)


def _dimensions(modules: Sequence[Module], settings: Sequence[Mapping[str, Any]]) -> int:
    """Of the last dense layer, else of the pooling; 0 where the files are silent."""
    pairs = zip(reversed(modules), reversed(settings), strict=True)
    return next((_width(*pair) for pair in pairs if pair[0].kind in _WIDTHS), 0)


def _width(module: Module, said: Mapping[str, Any]) -> int:
    """Numbers in what the module gives; 0 where its file is silent, or lost."""
    found = (said[name] for name in _WIDTHS[module.kind] if name in said)
    return int(next(found, 0))


def _fault(
    modules: Sequence[Module], settings: Sequence[Mapping[str, Any]], mode: str
) -> str | None:
    odd = (_oddity(module, said) for module, said in zip(modules, settings, strict=True))
    return _disorder(modules, mode) or next(filter(None, odd), None)


def _disorder(modules: Sequence[Module], mode: str) -> str | None:
    kinds = [module.kind for module in modules]
    known = [_ORDER.index(kind) for kind in kinds if kind in _ORDER]
    if len(known) < len(kinds) or known != sorted(known) or kinds[:2] != ["Transformer", "Pooling"]:
        return f"its modules are {kinds!r}, expected {', '.join(_ORDER)} in this order"
    if modules[0].folder:
        return f"its transformer lies in {modules[0].folder!r}, expected the top of the directory"
    if mode not in _POOLINGS:
        return f"its pooling is {mode!r}, expected one of {', '.join(_POOLINGS)}"
    return None


def _oddity(module: Module, said: Mapping[str, Any]) -> str | None:
    task, how = said.get("transformer_task", _TASK), said.get("processing_kwargs") or {}
    if task != _TASK:
        return f"its transformer is for {task!r}"
    if module.kind in _WIDTHS and not _width(module, said):
        # Without its file it would be read as a mean.
        return (
            f"its {module.kind} in {module.folder!r} has no config.json that says how wide it is "
            "(is the model copied whole?)"
        )
    if how.get("common") or how.get("text"):
        return f"its transformer has processing_kwargs of its own, {json.dumps(how)}"
    if module.kind == "Dense" and not _plain(said):
        return f"its dense layer in {module.folder!r} is {json.dumps(said)}"
    return None


def _plain(dense: Mapping[str, Any]) -> bool:
    """Whether a dense layer works on the pooled embedding and nothing else."""
    ends = {dense.get("module_input_name"), dense.get("module_output_name")}
    return ends <= {None, _EMBEDDING} and not dense.get("use_residual")
