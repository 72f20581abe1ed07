"""Loading: what tasks must know of a checkpoint, from its config and tokenizer files alone.

transformers imports torch on its own when it loads either; weights are not touched.
"""

from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from labelmill.batch import ModelFacts
from labelmill.checkpoints.checkpoint import Checkpoint, has_any
from labelmill.checkpoints.resolving import localize
from labelmill.checkpoints.tokenizer import FastTokenizer
from labelmill.errors import ModelError

# These count positions from their padding id + 1 on, so of 514 positions 512 hold tokens
# (create_position_ids_from_input_ids in their modeling files).
_POSITIONS_AFTER_PADDING = frozenset(
    {
        "camembert",
        "data2vec-text",
        "esm",
        "ibert",
        "layoutlmv3",
        "lilt",
        "longformer",
        "luke",
        "markuplm",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)
# A fast tokenizer may be made from these too, beside the files that its class names.
_VOCABULARIES = ("tokenizer.json", "tokenizer.model", "tiktoken.model", "tekken.json")
_SANE_LENGTH = 10**7  # transformers writes 1e30 where a tokenizer has no limit


def facts(checkpoint: Checkpoint) -> ModelFacts:
    """What config and tokenizer say; raises ModelError for an unusable config.json."""
    checkpoint = localize(checkpoint)
    config = _config(checkpoint)
    tokenizer = processor(checkpoint)
    labels = _labels(config, checkpoint.source)
    limit = _length_limit(config)
    lengths = [limit, _tokenizer_length(tokenizer)]
    return ModelFacts(
        model_type=config.model_type,
        architecture=(config.architectures or [""])[0],
        labels=labels,
        problem_type=_problem_type(config, labels),
        max_length=min((length for length in lengths if length is not None), default=None),
        pad_token_id=_pad_token_id(config, tokenizer, checkpoint.source),
        positions=None if _reaches_on(config) else limit,
    )


def processor(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """The checkpoint's tokenizer; raises ModelError where it is missing or does not fit."""
    checkpoint = localize(checkpoint)
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            checkpoint.path,
            trust_remote_code=checkpoint.trust_remote_code,
            local_files_only=True,
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"model {checkpoint.source!r} has no tokenizer that can be loaded: {error}; save it "
            "beside the model (save_pretrained)"
        ) from error
    _refuse_empty(tokenizer, checkpoint)
    _refuse_misfit(tokenizer, _config(checkpoint), checkpoint.source)
    return tokenizer


def fast_tokenizer(checkpoint: Checkpoint) -> FastTokenizer | None:
    """The tokenizer as plain data; None where it is not a fast one."""
    tokenizer: Any = processor(checkpoint)
    if not tokenizer.is_fast:
        return None
    return FastTokenizer(
        serialized=tokenizer.backend_tokenizer.to_str(),
        truncation_side=tokenizer.truncation_side,
        split_special_tokens=tokenizer.split_special_tokens,
        model_input_names=tuple(tokenizer.model_input_names),
    )


def _config(checkpoint: Checkpoint) -> PreTrainedConfig:
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            checkpoint.path, trust_remote_code=checkpoint.trust_remote_code, local_files_only=True
        )
    except (OSError, ValueError, KeyError, StrictDataclassError) as error:
        raise ModelError(
            f"config.json of model {checkpoint.source!r} cannot be used by transformers: {error}"
        ) from error
    return config


def _labels(config: PreTrainedConfig, source: str) -> tuple[str, ...]:
    names = {int(number): name for number, name in (config.id2label or {}).items()}
    if sorted(names) != list(range(len(names))):
        raise ModelError(
            f"model {source!r}: id2label in config.json has the ids {sorted(names)!r}, expected "
            f"0 to {len(names) - 1} without gaps; correct it"
        )
    return tuple(str(names[number]) for number in range(len(names)))


def _problem_type(config: PreTrainedConfig, labels: tuple[str, ...]) -> str | None:
    """As the models of transformers decide, where the config is silent."""
    if config.problem_type is not None or not labels:
        return config.problem_type
    return "regression" if len(labels) == 1 else "single_label_classification"


def _length_limit(config: PreTrainedConfig) -> int | None:
    """Tokens that the model has positions for, or was made for."""
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions < 1:
        return None
    if config.model_type in _POSITIONS_AFTER_PADDING:
        positions -= (config.pad_token_id or 0) + 1
    return positions


def _reaches_on(config: PreTrainedConfig) -> bool:
    """Positions are relative or rotary: a longer input is unusual, but nothing breaks."""
    relative = getattr(config, "relative_attention", False)
    rotary = getattr(config, "rope_parameters", None) is not None
    return rotary or (relative and not getattr(config, "position_biased_input", True))


def _tokenizer_length(tokenizer: PreTrainedTokenizerBase) -> int | None:
    length = int(tokenizer.model_max_length)
    return length if 0 < length <= _SANE_LENGTH else None


def _pad_token_id(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, source: str) -> int:
    for candidate in (config.pad_token_id, tokenizer.pad_token_id):
        if isinstance(candidate, int):
            return candidate
    raise ModelError(
        f"model {source!r} has no padding token, neither in config.json ('pad_token_id') nor in "
        "its tokenizer; set one there"
    )


def _refuse_empty(tokenizer: PreTrainedTokenizerBase, checkpoint: Checkpoint) -> None:
    """Without files, transformers makes a fast tokenizer that knows no word, and says nothing."""
    names = {*tokenizer.vocab_files_names.values(), *_VOCABULARIES}
    if tokenizer.is_fast and not has_any(Path(checkpoint.path), names):
        raise ModelError(
            f"model {checkpoint.source!r} has no tokenizer files in {checkpoint.path!r}; expected "
            "'tokenizer.json'; save the tokenizer beside the model (save_pretrained)"
        )


def _refuse_misfit(tokenizer: Any, config: PreTrainedConfig, source: str) -> None:
    embeddings = getattr(config.get_text_config(), "vocab_size", None)
    if isinstance(embeddings, int) and len(tokenizer) > embeddings:
        raise ModelError(
            f"model {source!r}: its tokenizer has {len(tokenizer)} tokens, but the model only "
            f"{embeddings} embeddings; the two do not belong together"
        )
