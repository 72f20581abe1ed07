"""Loading: the weights of a checkpoint as a model of transformers, or the reason why not.

The reason can be had without the weights, for jobs that have not begun.
"""

from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch
import transformers
from safetensors import SafetensorError

from labelmill.checkpoints import Checkpoint, padding_id, processor
from labelmill.checkpoints.heads import HEADLESS
from labelmill.errors import ModelError
from labelmill.models.quiet import quiet
from labelmill.readouts import Embedding, Readout

if TYPE_CHECKING:
    from transformers import PreTrainedModel


# What transformers and torch raise of files that are damaged, or are not what they are called.
_UNFIT = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    ImportError,
    SafetensorError,
    UnpicklingError,
)


def load_model(
    checkpoint: Checkpoint, auto_class: str, dtype: torch.dtype, readout: Readout
) -> "PreTrainedModel":
    """The model in evaluation mode, on the CPU; raises ModelError where it does not fit.

    A weight that the readout has no use for may be missing.
    """
    model = _fitting(checkpoint, auto_class, readout, dtype=dtype)
    complete_padding(model, checkpoint)
    return model


def examine(checkpoint: Checkpoint, auto_class: str, readout: Readout) -> None:
    """Raise what `load_model` would, of the names and shapes of the weights; none is read."""
    with quiet():
        _fitting(checkpoint, auto_class, readout, device_map="meta")


def _fitting(
    checkpoint: Checkpoint, auto_class: str, readout: Readout, **how: Any
) -> "PreTrainedModel":
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model: PreTrainedModel
        model, report = getattr(transformers, auto_class).from_pretrained(
            checkpoint.path,
            trust_remote_code=checkpoint.trust_remote_code,
            use_safetensors=not checkpoint.allow_pickle or None,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            **how,
        )
    except _UNFIT as error:
        raise ModelError(
            f"model {checkpoint.source!r} cannot be loaded as {auto_class}: {_reason(error)}"
        ) from error
    if auto_class not in HEADLESS:
        _refuse_other_task(model, checkpoint.source, auto_class)
    _refuse_random_weights(report, checkpoint.source, auto_class, _spare(readout))
    _require_pooler(model, checkpoint.source, readout)
    return model


def _reason(error: Exception) -> str:
    """Not torch's advice to run what a pickle says."""
    if isinstance(error, UnpicklingError | EOFError):
        return "its 'pytorch_model*.bin' is damaged or holds more than weights; copy it again"
    return str(error)


def _spare(readout: Readout) -> tuple[str, ...]:
    """Beginnings of names of weights that a model may lack; most lost their pooler in training."""
    pools_itself = isinstance(readout, Embedding) and readout.pooling != "pooler"
    return ("pooler.",) if pools_itself else ()


def _require_pooler(model: "PreTrainedModel", source: str, readout: Readout) -> None:
    wanted = isinstance(readout, Embedding) and readout.pooling == "pooler"
    if wanted and getattr(model, "pooler", None) is None:
        raise ModelError(
            f"model {source!r} has no pooler, expected one for options.pooling 'pooler'; choose "
            "another pooling"
        )


def _refuse_other_task(model: "PreTrainedModel", source: str, auto_class: str) -> None:
    """Heads of other tasks may have weights of the same names; the config knows better."""
    head = auto_class.removeprefix("AutoModel")
    # BERT's own checkpoints hold two heads; ELECTRA's discriminator lacks the weights of this one.
    heads = (head, "ForPreTraining") if head == "ForMaskedLM" else (head,)
    known = [name for name in model.config.architectures or () if "For" in name]
    if known and not any(name.endswith(heads) or name == type(model).__name__ for name in known):
        raise ModelError(
            f"model {source!r} is a {known[0]!r}, expected one with a head {head!r} for this task; "
            "choose a model fine-tuned for the task"
        )


def _refuse_random_weights(
    report: Any, source: str, auto_class: str, spare: tuple[str, ...]
) -> None:
    for name, had, wanted in sorted(report["mismatched_keys"]):
        raise ModelError(
            f"model {source!r} cannot be loaded as {auto_class}: its weights {name!r} are of shape "
            f"{tuple(had)!r}, and config.json (id2label, vocab_size and the like) makes it "
            f"{tuple(wanted)!r}; restore the config.json of these weights"
        )
    missing = sorted(report["missing_keys"])
    missing = [name for name in missing if not name.startswith(spare)]
    if missing:
        raise ModelError(
            f"model {source!r} has no weights for {', '.join(map(repr, missing[:3]))} "
            f"({len(missing)} in all), which {auto_class} needs; its labels would be random; "
            "choose a fine-tuned model"
        )


def complete_padding(model: "PreTrainedModel", checkpoint: Checkpoint) -> None:
    """Decoders find each row's last token by the padding id, and refuse several rows without.

    It is None where the tokenizer has none either.
    """
    config = model.config.get_text_config()
    takes_tokens = getattr(config, "vocab_size", None) is not None
    own = getattr(config, "pad_token_id", None)
    if takes_tokens and (own is None or own < 0):
        config.pad_token_id = padding_id(config, processor(checkpoint))
