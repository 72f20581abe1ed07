"""A classifier behind a gate: it predicts so many microbatches and waits for leave to go on.

So a test can kill what is at work for certain, however fast or slow the machine is. The gate is a
directory that all replicas see.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.models import tiny_classifier

_CODE = '''\
"""BERT that waits in its forward pass until the gate lets it through."""

import os
import time
import uuid
from pathlib import Path

from transformers import BertForSequenceClassification


class GatedBertForSequenceClassification(BertForSequenceClassification):
    def forward(self, input_ids=None, attention_mask=None, token_type_ids=None, **others):
        gate = Path(self.config.gate)
        here = gate / "waiting" / str(os.getpid())
        here.touch()
        while len(os.listdir(gate / "passed")) >= int((gate / "limit").read_text()):
            time.sleep(0.02)
        (gate / "passed" / uuid.uuid4().hex).touch()
        here.unlink()
        return super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            **others,
        )
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """How many microbatches may be predicted, and who waits for more."""

    directory: Path

    def let(self, microbatches: int) -> None:
        """So many in all; about so many, where several replicas come at one moment."""
        new = self.directory / "limit.new"
        new.write_text(str(microbatches), encoding="utf-8")
        new.replace(self.directory / "limit")

    def open(self) -> None:
        """Nobody waits any more."""
        self.let(sys.maxsize)

    def passed(self) -> int:
        """Microbatches that were let through."""
        return len(list((self.directory / "passed").iterdir()))

    def waiting(self) -> set[int]:
        """The processes that wait in a forward pass, or were killed there."""
        return {int(mark.name) for mark in (self.directory / "waiting").iterdir()}


def gated_classifier(directory: Path, gate: Path) -> tuple[str, Gate]:
    """The path of a checkpoint that needs `trust_remote_code`, and its gate, shut."""
    for name in ("waiting", "passed"):
        (gate / name).mkdir(parents=True)
    path = tiny_classifier(directory)
    (directory / "modeling_gated.py").write_text(_CODE, encoding="utf-8")
    config = json.loads((directory / "config.json").read_text("utf-8"))
    name = "GatedBertForSequenceClassification"
    config |= {"architectures": [name], "gate": str(gate)}
    config |= {"auto_map": {"AutoModelForSequenceClassification": f"modeling_gated.{name}"}}
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    shut = Gate(directory=gate)
    shut.let(0)
    return path, shut
