"""Quantized: the model of a run in int8, which all of its attempts, slices and replicas share.

Ranges that are calibrated on another machine differ in their last bits, so the model is kept where
the run is, not made again. It is created before the record that names it by the hash of its bytes;
who creates the record first has made the model of the run. It does not know what the bytes mean.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from labelmill.errors import CorruptRun
from labelmill.ledger import lines, names
from labelmill.storage import FileMissing, Store, bulk


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantized:
    """What a run's model in int8 is, and how well it agrees with float32."""

    digest: str  # SHA-256 in hex of its bytes
    agreement: Mapping[str, Any]  # the self-check's record, on rows that it was not calibrated on


def load(store: Store) -> Quantized | None:
    """What the run has; None where it has none. Raises CorruptRun."""
    try:
        facts = lines.parse(names.QUANTIZED, bulk.read(store, names.QUANTIZED))
    except FileMissing:
        return None
    try:
        return Quantized(**facts)
    except TypeError as err:
        raise lines.broken(names.QUANTIZED, err) from err


def keep(store: Store, model: bytes) -> str:
    """Put a model into the run, which makes it the run's not yet; its digest."""
    digest = hashlib.sha256(model).hexdigest()
    store.create(names.quantized_model(digest), model)
    return digest


def settle(store: Store, mine: Quantized) -> Quantized:
    """Make it the run's model, where no other was first: what the run has afterwards."""
    store.create(names.QUANTIZED, json.dumps(asdict(mine), allow_nan=False).encode())
    standing = load(store)
    if standing is None:
        raise CorruptRun(
            f"{names.QUANTIZED!r} in {store.url!r} was removed just after it was written; see that "
            "nothing but labelmill writes there, then run again"
        )
    return standing


def read(store: Store, digest: str) -> bytes:
    """The bytes of the model; raises CorruptRun where they are not those that were written."""
    path = names.quantized_model(digest)
    try:
        model = bulk.read(store, path)
    except FileMissing as err:
        raise lines.broken(path, err) from err
    found = hashlib.sha256(model).hexdigest()
    if found != digest:
        raise lines.broken(path, ValueError(f"its bytes have the hash {found!r}"))
    return model
