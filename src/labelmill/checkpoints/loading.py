"""Loading: what tasks must know of a checkpoint, from its config and tokenizer files alone.

transformers imports torch on its own when it loads either; weights are not touched.
"""

import functools
from pathlib import Path
from typing import Any

import transformers
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, PreTrainedConfig, PreTrainedTokenizerBase

from labelmill.batch import ModelFacts
from labelmill.checkpoints.checkpoint import Checkpoint, has_any
from labelmill.checkpoints.resolving import localize
from labelmill.checkpoints.sentences import lower, lowers, sentence_facts
from labelmill.checkpoints.sounds import sound_facts
from labelmill.checkpoints.tokenizer import FastTokenizer
from labelmill.checkpoints.writing import writing_facts
from labelmill.errors import ModelError
from labelmill.ops import images

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
TOKENIZER = "AutoTokenizer"
_IMAGES = "AutoImageProcessor"
_NAMES = {  # of what each class of transformers makes
    TOKENIZER: "tokenizer",
    _IMAGES: "image processor",
    "AutoFeatureExtractor": "feature extractor",
    "AutoProcessor": "processor",
}
# What transformers raises of values that it has no use for, or takes for others than they are.
_UNFIT = (OSError, ValueError, KeyError, TypeError, AttributeError, StrictDataclassError)
_SANE_LENGTH = 10**7  # transformers writes 1e30 where a tokenizer has no limit


def facts(checkpoint: Checkpoint, kind: str = TOKENIZER) -> ModelFacts:
    """What config and processor say; raises ModelError for an unusable config.json.

    `kind` is the class of transformers for the processor that the task wants.
    """
    checkpoint = localize(checkpoint)
    config = _config(checkpoint)
    labels = _labels(config, checkpoint.source)
    writing = writing_facts(checkpoint, config)
    tokenizer = _tokenizer_of(processor(checkpoint, kind))
    limit = _length_limit(config)
    lengths = [limit, None if tokenizer is None else _tokenizer_length(tokenizer)]
    return ModelFacts(
        model_type=config.model_type,
        architecture=(config.architectures or [""])[0],
        labels=labels,
        problem_type=_problem_type(config, labels),
        max_length=min((length for length in lengths if length is not None), default=None),
        pad_token_id=0
        if tokenizer is None
        else _pad_token_id(config, tokenizer, checkpoint.source, writes=writing is not None),
        positions=None if _reaches_on(config) else limit,
        hidden_size=_hidden_size(config),
        sentence=sentence_facts(checkpoint),
        writing=writing,
        sound=sound_facts(config),
        path=checkpoint.path,
    )


def processor(checkpoint: Checkpoint, kind: str = TOKENIZER) -> Any:
    """The checkpoint's processor: what the class `kind` of transformers makes of its files.

    Made once a process. Raises ModelError where it is missing or does not fit.
    """
    return _loaded(localize(checkpoint), kind)


@functools.lru_cache(maxsize=4)
def _loaded(checkpoint: Checkpoint, kind: str) -> Any:
    try:
        found = _made(checkpoint, kind)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"model {checkpoint.source!r} has no {_NAMES[kind]} that can be loaded: {error}; save "
            "it beside the model (save_pretrained)"
        ) from error
    tokenizer = _tokenizer_of(found)
    if tokenizer is not None:
        _refuse_empty(tokenizer, checkpoint)
        _refuse_misfit(tokenizer, _config(checkpoint), checkpoint.source)
        if lowers(checkpoint):
            lower(tokenizer, checkpoint.source)
    return found


def _made(checkpoint: Checkpoint, kind: str) -> Any:
    """Images are prepared by Pillow on every machine: torchvision resizes otherwise."""
    how: dict[str, Any] = {"trust_remote_code": checkpoint.trust_remote_code}
    if kind == _IMAGES:
        images.pillow()
        how["backend"] = "pil"
    found = getattr(transformers, kind).from_pretrained(
        checkpoint.path, local_files_only=True, **how
    )
    if getattr(found, "image_processor", None) is not None:
        found.image_processor = _made(checkpoint, _IMAGES)
    return found


def _tokenizer_of(found: Any) -> Any:
    """The tokenizer that a processor is or has; None for pictures and sound alone."""
    if isinstance(found, PreTrainedTokenizerBase):
        return found
    return getattr(found, "tokenizer", None)


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
        padding_side=tokenizer.padding_side,
        cls_token_id=tokenizer.cls_token_id,
        mask_token=tokenizer.mask_token,
        mask_token_id=tokenizer.mask_token_id,
        unk_token_id=tokenizer.unk_token_id,
    )


def _config(checkpoint: Checkpoint) -> PreTrainedConfig:
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            checkpoint.path, trust_remote_code=checkpoint.trust_remote_code, local_files_only=True
        )
    except _UNFIT as error:
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


def _hidden_size(config: PreTrainedConfig) -> int | None:
    size = getattr(config.get_text_config(), "hidden_size", None)
    return size if isinstance(size, int) else None


def _length_limit(config: PreTrainedConfig) -> int | None:
    """Tokens that the model has positions for, or was made for."""
    config = config.get_text_config()  # of a model that sees as well, what reads
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


def _pad_token_id(
    config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, source: str, *, writes: bool
) -> int:
    found = padding_id(config, tokenizer)
    if found is not None:
        return found
    if writes:
        return 0  # it is masked, and no writing model finds the end of a text by it
    raise ModelError(
        f"model {source!r} has no padding token, neither in config.json ('pad_token_id') nor in "
        "its tokenizer; set one there"
    )


def padding_id(config: Any, tokenizer: Any) -> int | None:
    """The id of padding as the model has it, else as its tokenizer has it; below 0 there is none.

    Decoders find the end of a text before the first padding: where the tokenizer itself ends texts
    with its padding, and the config says nothing, it is the token of the beginning, at no end.
    """
    own, told = getattr(config, "pad_token_id", None), tokenizer.pad_token_id
    if isinstance(own, int) and own >= 0:
        return own
    if not isinstance(told, int) or told < 0:
        return None
    begin = tokenizer.bos_token_id
    ends = tokenizer("a")["input_ids"][-1:] == [told]
    return begin if ends and isinstance(begin, int) and begin != told else told


def _refuse_empty(tokenizer: PreTrainedTokenizerBase, checkpoint: Checkpoint) -> None:
    """Without files, transformers makes a fast tokenizer that knows no word, and says nothing."""
    names = {*tokenizer.vocab_files_names.values(), *_VOCABULARIES}
    if tokenizer.is_fast and not has_any(Path(checkpoint.path), names):
        raise ModelError(
            f"model {checkpoint.source!r} has no tokenizer files in {checkpoint.path!r}; expected "
            "'tokenizer.json'; save the tokenizer beside the model (save_pretrained)"
        )


def _refuse_misfit(tokenizer: Any, config: PreTrainedConfig, source: str) -> None:
    if (config.architectures or [""])[0].endswith("ForCTC"):
        return  # it embeds none, and writes those alone that it has
    embeddings = getattr(config.get_text_config(), "vocab_size", None)
    if isinstance(embeddings, int) and len(tokenizer) > embeddings:
        raise ModelError(
            f"model {source!r}: its tokenizer has {len(tokenizer)} tokens, but the model only "
            f"{embeddings} embeddings; the two do not belong together"
        )
