"""Fingerprint: one hash of everything that can change a result.

Two jobs with the same fingerprint label the same rows the same way, so that one may go on where the
other stopped. A setting is in it unless `EXEMPT` names it: to forget one there refuses a resume,
which the user sees, and never mixes results, which nobody would.
"""

import hashlib
import json
from collections.abc import Container, Iterator, Mapping

from pydantic import JsonValue

from labelmill.config.job import LabelJob

# Setting or section, and why it is not in the fingerprint itself.
EXEMPT = {
    "model.path": "the bytes of the model count, wherever they lie",
    "model.revision": "the bytes of the model count",
    "model.engine": "what it was resolved to counts",
    "model.precision": "what it was resolved to counts",
    "model.min_agreement": "stops a job, changes no label",
    "source.path": "the run knows its shards: a new one is more work, a changed one is refused",
    "source.on_bad_shard": "changes nothing in the shards that can be read",
    "source.split_rows": "what it was resolved to counts",
    "source.split_bytes": "what it was resolved to counts",
    "output.path": "the directory itself is the run",
    "output.reject_text": "what is recorded of rejects, not what is in the output",
    "output.max_rejected": "stops a job, changes no label",
    "resources": "so that running out of memory is cured by going on with less",
}
# The same of a training job.
TRAINING_EXEMPT = {
    "model.path": "the bytes of the model count, wherever they lie",
    "model.revision": "the bytes of the model count",
    "data.train": "the names, sizes and versions of the files count",
    "data.validation": "the same",
    "data.dataset": "the same; of a hub dataset the commit counts",
    "data.on_bad_row": "stops a job, changes no row",
    "data.max_rejected": "stops a job, changes no row",
    "output.path": "the directory itself is the result",
    "resources": "the number of workers counts, not what they have",
    "training.logging_steps": "what is told, not what is learned",
    "training.report_to": "the same",
    "training.dataloader_num_workers": "rows come in the same order however many read them",
    "training.save_total_limit": "which checkpoints are kept, not what is in them",
}


def result_settings(job: LabelJob) -> dict[str, JsonValue]:
    """Every setting that can change a result, or the output's rows or columns, by dotted name."""
    return dict(leaves(job.dump(), EXEMPT))


def leaves(
    settings: Mapping[str, JsonValue], exempt: Container[str], prefix: str = ""
) -> Iterator[tuple[str, JsonValue]]:
    """Each setting by its dotted name, but for exempt ones and those of exempt sections."""
    for key, value in settings.items():
        name = prefix + key
        if name in exempt:
            continue
        if isinstance(value, dict):
            yield from leaves(value, exempt, f"{name}.")
        else:
            yield name, value


def fingerprint(settings: Mapping[str, JsonValue]) -> str:
    """SHA-256 in hex of the settings; their order does not matter."""
    return hashlib.sha256(_canonical(dict(settings)).encode()).hexdigest()


def differences(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue]) -> list[str]:
    """One line for each setting that differs, by name; none where the fingerprints are equal."""
    names = sorted(old.keys() | new.keys())
    return [
        f"{name}: the run has {_told(old, name)}, this job {_told(new, name)}"
        for name in names
        if _one(old, name) != _one(new, name)
    ]


def _canonical(value: JsonValue) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _one(settings: Mapping[str, JsonValue], name: str) -> str:
    # Python holds 1, 1.0 and True for equal; the hash does not.
    return _canonical({name: settings[name]} if name in settings else {})


def _told(settings: Mapping[str, JsonValue], name: str) -> str:
    return repr(settings[name]) if name in settings else "nothing"
