"""Manifest: the identity of a training, beside its checkpoints, so that no other goes on with them.

It is written once the data have been read, and never changed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import JsonValue

from labelmill.config.fingerprint import TRAINING_EXEMPT, differences, fingerprint, leaves
from labelmill.config.train_job import TrainJob
from labelmill.errors import FingerprintChanged, LedgerError
from labelmill.storage import Store, bulk, join, put

MANIFEST = "training.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What the rows were found to be."""

    rows: int  # learned from or measured by
    rejected: int
    train_rows: int  # learned from
    train: int  # examples: sequences, of which a long text may have several
    validation: int
    labels: tuple[str, ...]  # of the trained model; () where the head stays as it is
    problem_type: str | None
    counts: Mapping[str, int]  # of labels, see `Head`
    tokens: int  # of the examples to learn from
    digests: Mapping[str, str] = field(default_factory=dict)  # of the files behind them


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainManifest:
    """Settings that can change the result, and the data."""

    settings: Mapping[str, JsonValue]
    data: Data

    @property
    def fingerprint(self) -> str:
        """SHA-256 in hex."""
        return fingerprint(self.settings)

    def save(self, state: Store) -> None:
        """Write it, whole or not at all; raises LedgerError where another one is there."""
        content = (json.dumps(asdict(self), indent=1) + "\n").encode()
        if not put(state, MANIFEST, content):
            raise LedgerError(
                f"{join(state.url, MANIFEST)!r} was written by another process at the same time; "
                "train with one command only"
            )

    @classmethod
    def load(cls, state: Store) -> "TrainManifest | None":
        """The manifest there, if there is one; raises LedgerError where it cannot be read."""
        if state.kind(MANIFEST) != "file":
            return None
        try:
            told: dict[str, Any] = json.loads(bulk.read(state, MANIFEST))
            data = told["data"] | {"labels": tuple(told["data"]["labels"])}
            return cls(settings=told["settings"], data=Data(**data))
        except (ValueError, TypeError, KeyError) as error:
            raise LedgerError(
                f"{join(state.url, MANIFEST)!r} cannot be read ({error}): it was cut off, or "
                f"another version of labelmill wrote it; remove {state.url!r} to train anew"
            ) from error


def settings(job: TrainJob, *, digests: Mapping[str, str], workers: int) -> dict[str, JsonValue]:
    """Every setting that can change the result, by dotted name."""
    found = dict(leaves(job.dump(), TRAINING_EXEMPT))
    return found | dict(digests) | {"resources.workers": workers}


def refuse_other(
    standing: Mapping[str, JsonValue], wanted: Mapping[str, JsonValue], place: str
) -> None:
    """Raise FingerprintChanged where the training at `place` is another one."""
    if fingerprint(standing) == fingerprint(wanted):
        return
    lines = differences(standing, wanted)
    raise FingerprintChanged(
        f"{place!r} holds a training with other settings, expected the same; use a new "
        "output.path, or remove it and its '.training' directory:\n  " + "\n  ".join(lines)
    )
