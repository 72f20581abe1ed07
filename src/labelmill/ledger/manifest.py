"""Manifest: the immutable description of a run, written first.

It promises that one output directory holds one run: the manifest is created exclusively and never
changed, and a job with another fingerprint is refused with the names of what differs.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import pyarrow as pa

from labelmill.config.fingerprint import differences, fingerprint
from labelmill.errors import CorruptRun, FingerprintChanged, LedgerError
from labelmill.ledger import lines, names
from labelmill.splits import CutRule
from labelmill.storage import FileMissing, Store, bulk

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a run is. `settings` decide its results, `provenance` only tells of them."""

    labelmill_version: str
    created: str  # ISO 8601, for people
    settings: Mapping[str, Any]  # dotted name -> JSON value: everything that can change a result
    provenance: Mapping[str, Any]  # JSON: model path and revision, source paths, ...
    part_format: str  # the format module of parts; their names end in it
    schema: pa.Schema  # of every part
    source_schema: pa.Schema  # of the kept input columns, with the run's types
    rule: CutRule
    format_version: int = FORMAT_VERSION

    @property
    def fingerprint(self) -> str:
        """SHA-256 in hex of the settings."""
        return fingerprint(self.settings)

    def to_json(self) -> bytes:
        """Readable bytes, the inverse of `from_json`."""
        facts = {name: getattr(self, name) for name in _PLAIN} | {
            "fingerprint": self.fingerprint,
            "schema": _readable(self.schema),
            "source_schema": _readable(self.source_schema),
            "rule": asdict(self.rule),
        }
        return json.dumps(facts, indent=1, sort_keys=True, allow_nan=False).encode()

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Self:
        """The manifest of the run at `where`; LedgerError for another version, CorruptRun."""
        facts = lines.parse(f"{where}/{names.MANIFEST}", data)
        _require_version(facts, where)
        try:
            manifest = cls(
                schema=_schema(facts["schema"]),
                source_schema=_schema(facts["source_schema"]),
                rule=CutRule(**facts["rule"]),
                **{name: facts[name] for name in _PLAIN},
            )
        except (KeyError, TypeError, ValueError) as err:
            raise lines.broken(f"{where}/{names.MANIFEST}", err) from err
        if manifest.fingerprint != facts["fingerprint"]:
            found = ValueError(f"its settings have fingerprint {manifest.fingerprint!r}")
            raise lines.broken(f"{where}/{names.MANIFEST}", found)
        return manifest

    @classmethod
    def load(cls, store: Store) -> Self | None:
        """The manifest of the run in the store; None where there is no run."""
        try:
            return cls.from_json(bulk.read(store, names.MANIFEST), store.url)
        except FileMissing:
            return None

    def settle(self, store: Store) -> "Manifest":
        """Begin the run or join it: the manifest that stands in the store afterwards.

        Raises FingerprintChanged where the run there was started with other settings.
        """
        if store.create(names.MANIFEST, self.to_json()):
            return self
        standing = Manifest.from_json(bulk.read(store, names.MANIFEST), store.url)
        self.require_settings_of(standing, store.url)
        return standing

    def require_settings_of(self, standing: "Manifest", where: str) -> None:
        """Raise FingerprintChanged where the run at `where` was started with other settings."""
        if standing.fingerprint != self.fingerprint:
            raise FingerprintChanged(_refusal(where, standing.settings, self.settings))

    def require(self, wanted: Mapping[str, str], where: str) -> None:
        """Raise FingerprintChanged where this run, at `where`, has not these settings.

        For those that must be told before a job's others are known: what a job reads is bound by
        the run's columns, and an engine that is the run's may not know what the job wants.
        """
        told = {name: self.settings[name] for name in wanted}
        if told != wanted:
            raise FingerprintChanged(_refusal(where, told, wanted))


_PLAIN = tuple(
    name
    for name in Manifest.__dataclass_fields__
    if name not in {"schema", "source_schema", "rule"}
)


def _require_version(facts: Mapping[str, Any], where: str) -> None:
    version, author = facts.get("format_version"), facts.get("labelmill_version")
    if version != FORMAT_VERSION:
        raise LedgerError(
            f"the run in {where!r} was written by labelmill {author!r} with ledger format "
            f"{version!r}, this one reads format {FORMAT_VERSION}; go on with that labelmill, or "
            "use a new output directory"
        )


def _refusal(where: str, standing: Mapping[str, Any], job: Mapping[str, Any]) -> str:
    what = "; ".join(differences(standing, job))
    return (
        f"the run in {where!r} was started with other settings ({what}); "
        "restore them to resume it, or use a new output directory"
    )


def _readable(schema: pa.Schema) -> dict[str, Any]:
    encoded = base64.b64encode(schema.serialize().to_pybytes()).decode()
    return {"columns": [f"{field.name}: {field.type}" for field in schema], "arrow": encoded}


def _schema(facts: Mapping[str, Any]) -> pa.Schema:
    try:
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(facts["arrow"])))
    except (pa.ArrowInvalid, OSError) as err:
        raise CorruptRun(
            f"the manifest holds a schema that Arrow cannot read ({err}); restore it"
        ) from err


def read_manifest(store: Store) -> Manifest:
    """The manifest of a run that must be there; raises LedgerError."""
    manifest = Manifest.load(store)
    if manifest is None:
        raise LedgerError(
            f"there is no run in {store.url!r}: no {names.MANIFEST!r} there; give the output "
            "directory of a job"
        )
    return manifest
