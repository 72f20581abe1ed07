"""A classifier whose own code prints: where it is imported, and at every forward pass."""

import json
from pathlib import Path

from tests.support.models import tiny_classifier

NOISES = ("the config is read", "the model is imported", "a pass begins")

_CONFIG = f"""\
from transformers import BertConfig

print({NOISES[0]!r})


class NoisyConfig(BertConfig):
    model_type = "noisy"
"""
_MODEL = f"""\
from transformers import BertForSequenceClassification

from .configuration_noisy import NoisyConfig

print({NOISES[1]!r})


class NoisyForSequenceClassification(BertForSequenceClassification):
    config_class = NoisyConfig

    def forward(self, input_ids=None, attention_mask=None, token_type_ids=None):
        print({NOISES[2]!r})
        return super().forward(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        )
"""


def noisy_classifier(directory: Path) -> str:
    """A checkpoint that needs `trust_remote_code`; its path."""
    path = tiny_classifier(directory)
    (directory / "configuration_noisy.py").write_text(_CONFIG, encoding="utf-8")
    (directory / "modeling_noisy.py").write_text(_MODEL, encoding="utf-8")
    config = json.loads((directory / "config.json").read_text("utf-8"))
    config |= {"model_type": "noisy", "architectures": ["NoisyForSequenceClassification"]}
    config["auto_map"] = {
        "AutoConfig": "configuration_noisy.NoisyConfig",
        "AutoModelForSequenceClassification": "modeling_noisy.NoisyForSequenceClassification",
    }
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return path
