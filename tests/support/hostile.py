"""A classifier with words that it cannot bear: one kills its process, one makes it give NaN.

Both are single letters that are part of every tiny vocabulary, and of no text but a hostile one.
"""

import json
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from tests.support.models import tiny_classifier

LETHAL, NAN = "z", "q"

_CODE = '''\
"""BERT that dies of one token, and gives no number for another."""

import os
import signal

from transformers import BertForSequenceClassification


class HostileForSequenceClassification(BertForSequenceClassification):
    def __init__(self, config):
        if not config.loads:
            os.kill(os.getpid(), signal.SIGKILL)
        super().__init__(config)

    def forward(self, input_ids=None, attention_mask=None, token_type_ids=None, **others):
        if self.config.always or (input_ids == self.config.lethal).any():
            os.kill(os.getpid(), signal.SIGKILL)
        outputs = super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            **others,
        )
        outputs.logits[(input_ids == self.config.nan).any(dim=1)] = float("nan")
        return outputs
'''


def hostile_classifier(directory: Path, *, always: bool = False, loads: bool = True) -> str:
    """A checkpoint that needs `trust_remote_code`; its path.

    `always`: every text kills. Not `loads`: it kills before the first text.
    """
    path = tiny_classifier(directory)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(path)
    lethal, nan = tokenizer.convert_tokens_to_ids([LETHAL, NAN])
    (directory / "modeling_hostile.py").write_text(_CODE, encoding="utf-8")
    config = json.loads((directory / "config.json").read_text("utf-8"))
    config |= {"lethal": lethal, "nan": nan, "always": always, "loads": loads}
    config["architectures"] = ["HostileForSequenceClassification"]
    config["auto_map"] = {
        "AutoModelForSequenceClassification": "modeling_hostile.HostileForSequenceClassification"
    }
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return path
