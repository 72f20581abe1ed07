"""Transcription: what a Whisper model hears in each window of sound, by its own `generate`.

One call a window: what the model leaves undecoded behind the last time that it names in a window
is not tried again; that is what the overlap of windows is for.
"""

from typing import Any

import torch
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from labelmill.checkpoints import Checkpoint
from labelmill.engines.pytorch.reading import Model, Pieces, Read, Reader, Tensors
from labelmill.errors import ConfigError, ModelError
from labelmill.readouts import Transcription

_PROMPT = 4  # tokens before what is heard: start, language, task, no times


def reader(readout: Transcription, model: Model, checkpoint: Checkpoint) -> Reader:
    """See the readout; raises ConfigError for a language or task that the model does not have."""
    config = model.module.generation_config
    config.max_length = None  # else each call warns that max_new_tokens is set, too
    settings = {
        "force_unique_generate_call": True,
        "num_beams": readout.num_beams,
        "num_return_sequences": 1,
        "return_dict_in_generate": False,
        "max_new_tokens": _max_new_tokens(readout, model.module.config),
        "return_timestamps": readout.timestamps,
        **_language(readout, config),
    }
    if readout.timestamps and not hasattr(config, "no_timestamps_token_id"):
        raise ModelError(
            f"model {checkpoint.source!r} has no 'no_timestamps_token_id' in its "
            "generation_config.json and cannot be asked for times; set options.timestamps to 'none'"
        )
    ended = [] if config.eos_token_id is None else config.eos_token_id
    ends = torch.as_tensor(ended, dtype=torch.int64, device=model.device).reshape(-1)

    def heard(inputs: Tensors, lengths: torch.Tensor) -> Read:
        del lengths
        ids = model.module.generate(inputs["input_features"], **settings)
        going_on = torch.isin(ids, ends).cumsum(dim=1) == 0
        return {"ids": Pieces(ids[going_on], going_on.sum(dim=1))}

    return heard


def _language(readout: Transcription, config: Any) -> dict[str, str]:
    """Arguments of `generate`; models of English alone take none."""
    if not getattr(config, "is_multilingual", True):
        if readout.language is not None or readout.task != "transcribe":
            name = "translate" if readout.language is None else "language"
            raise ConfigError(
                f"options.{name}: this Whisper model knows English alone and takes neither a "
                "language nor a task; remove it"
            )
        return {}
    if not hasattr(config, "lang_to_id") or not hasattr(config, "task_to_id"):
        _refuse_choice(readout)
        return {}
    if readout.language is None:
        own = readout.task == "transcribe" and _says_itself(config)
        return {} if own else {"task": readout.task}
    return {"task": readout.task, "language": _token(readout.language, config)}


def _refuse_choice(readout: Transcription) -> None:
    """Of a checkpoint from before there were such settings: it begins as it was tuned to."""
    if readout.language is None and readout.task == "transcribe":
        return
    name = "translate" if readout.language is None else "language"
    raise ConfigError(
        f"options.{name}: this Whisper model's generation_config.json does not name its languages "
        "and tasks ('lang_to_id', 'task_to_id'); copy that file from the model it was tuned from, "
        "or remove the option"
    )


def _says_itself(config: Any) -> bool:
    """Whether a checkpoint was tuned for one language and task, as those before `task` say it."""
    forced = getattr(config, "forced_decoder_ids", None) or [[1, None]]
    return forced[0][1] is not None or getattr(config, "task", None) is not None


def _token(language: str, config: Any) -> str:
    known = getattr(config, "lang_to_id", {})
    lowered = language.lower()
    for token in (lowered, f"<|{lowered}|>", f"<|{TO_LANGUAGE_CODE.get(lowered)}|>"):
        if token in known:
            return token
    codes = ", ".join(sorted(token.strip("<|>") for token in known))
    raise ConfigError(
        f"options.language: {language!r} is none of this model's languages; known are "
        f"{codes or 'none'}"
    )


def _max_new_tokens(readout: Transcription, config: Any) -> int:
    room = int(config.max_target_positions) - _PROMPT
    wanted = readout.max_new_tokens
    if wanted is not None and wanted > room:
        raise ConfigError(
            f"options.max_new_tokens: {wanted} are more than this model has positions for; lower "
            f"it to {room}"
        )
    return room if wanted is None else wanted
