"""Writing: what a checkpoint says of how it generates, in generation_config.json or config.json.

Not what transformers would add where both are silent: only what the checkpoint's makers chose.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import GenerationConfig, PreTrainedConfig
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

from labelmill.batch import WritingFacts
from labelmill.checkpoints.checkpoint import Checkpoint
from labelmill.errors import ModelError

_FILE = "generation_config.json"
_WRITERS = frozenset(
    {
        *MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values(),
        *MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES.values(),
    }
)
_WRITING = ("ForCausalLM", "ForConditionalGeneration")  # ends of the names of classes we know not


def writing_facts(checkpoint: Checkpoint, config: PreTrainedConfig) -> WritingFacts | None:
    """None for a model that does not write; raises ModelError for a broken file."""
    name = (config.architectures or [""])[0]
    if name not in _WRITERS and not name.endswith(_WRITING):
        return None
    params = getattr(config, "task_specific_params", None) or {}
    return WritingFacts(
        settings=_settings(checkpoint, config),
        by_task={task: dict(values) for task, values in params.items()},
    )


def _settings(checkpoint: Checkpoint, config: PreTrainedConfig) -> Mapping[str, Any]:
    try:
        found = (
            GenerationConfig.from_pretrained(checkpoint.path, local_files_only=True)
            if (Path(checkpoint.path) / _FILE).exists()
            else GenerationConfig.from_model_config(config)
        )
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(
            f"{_FILE} of model {checkpoint.source!r} cannot be used by transformers: {error}"
        ) from error
    settings: dict[str, Any] = found.to_dict()
    return {name: value for name, value in settings.items() if value is not None}
