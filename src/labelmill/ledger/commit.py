"""Commit: the three steps after which a split is done for ever, and the rule that explains a part.

    1. a prepared receipt under a name of its own: counts, rejects, checksum of the part to come
    2. the part
    3. the receipt: the prepared one whose checksum the part has

Every step creates a file whole and only if absent, so whatever is killed and however many
committers of one split run at once, the first part wins and the receipt that follows is that
part's. It promises at most one part and one receipt a split, and that no part is ever there without
something that explains it: its receipt, or its prepared receipt. It does not know whether the
receipt counts: voids and generations are the reader's.
"""

import contextlib
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import replace

from labelmill.errors import StorageError
from labelmill.ledger import names
from labelmill.ledger.receipt import Receipt, checksum
from labelmill.storage import FileMissing, Store, bulk

_CHUNK = 1 << 20  # bytes of a part in memory while its checksum is taken
_TRIES = 5


def commit(store: Store, receipt: Receipt, part: bytes | memoryview) -> Receipt | None:
    """Commit a split: the receipt that stands afterwards, ours or that of whoever was first.

    `part_size` and `checksum` of the receipt are taken from the part. None where the part there is
    another's whose receipt is out of our sight: compacted, or of another generation of the shard.
    Then there is nothing left to do for us; whoever opens the run next sees to it. Raises
    LedgerError where the receipt does not add up, StorageError; committing again is safe after any
    of them.
    """
    ours = replace(receipt, part_size=len(part), checksum=checksum(part))
    ours.check()
    prepared = _prepare(store, ours)
    found = _create_part(store, ours, part)
    winner = ours if found == ours.checksum else _explain(store, ours, found)
    committed = None if winner is None else settle(store, winner)
    if committed is not None or found != ours.checksum:
        # Best effort: the receipt stands, or the part there is not ours, so nobody needs the
        # prepared receipt any more; one that stays behind is deleted when the run is opened next.
        with contextlib.suppress(StorageError):
            store.delete(prepared)
    return committed


def settle(store: Store, receipt: Receipt) -> Receipt | None:
    """Create the receipt of a part that is there; None where the one that stands is not its own."""
    path = names.receipt(receipt.split.id, receipt.generation)
    for _ in range(_TRIES):
        if store.create(path, receipt.to_json()):
            return receipt
        standing = load(store, path)
        if standing is not None:
            return standing if standing.checksum == receipt.checksum else None
        # Compacted or cleaned away between the two calls.
    return None


def load(store: Store, path: str) -> Receipt | None:
    """A receipt, prepared or single; None where it is gone."""
    try:
        return Receipt.from_file(path, bulk.read(store, path))
    except FileMissing:
        return None


def part_checksum(store: Store, path: str) -> str:
    """The checksum of a part as it lies there; raises FileMissing."""
    digest = hashlib.sha256()
    with store.open(path) as part:
        while chunk := part.read(_CHUNK):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def explain(store: Store, found: str, prepared: Iterable[str]) -> Receipt | None:
    """The first of the prepared receipts that has this checksum."""
    receipts = (load(store, path) for path in prepared)
    return next((each for each in receipts if each is not None and each.checksum == found), None)


def _prepare(store: Store, receipt: Receipt) -> str:
    """Write the prepared receipt; its path."""
    owner = f"{receipt.attempt}-{secrets.token_hex(8)}"
    path = names.prepared(receipt.split.id, receipt.generation, owner)
    store.create(
        path, receipt.to_json()
    )  # the name is new: False says that a lost answer was repeated
    return path


def _create_part(store: Store, receipt: Receipt, part: bytes | memoryview) -> str:
    """Create the part unless one is there: the checksum of the one that is."""
    for _ in range(_TRIES):
        if store.create(receipt.part, part):
            return receipt.checksum
        # Gone again where somebody opens the run and cleans away the part of a replaced shard.
        with contextlib.suppress(FileMissing):
            return part_checksum(store, receipt.part)
    raise StorageError(
        f"part {receipt.part!r} in {store.url!r} comes and goes: found it taken and then missing "
        f"{_TRIES} times; see that nothing else writes there, then run again"
    )


def _explain(store: Store, ours: Receipt, found: str) -> Receipt | None:
    """The receipt of another committer's part.

    Prepared receipts are looked through before the receipt, because whoever commits deletes the
    former after creating the latter: looking the other way round could miss both.
    """
    key = names.split_key(ours.split.id, ours.generation)
    prepared = [e.path for e in store.list(names.PREPARED) if names.prepared_key(e.path) == key]
    other = explain(store, found, prepared)
    if other is None:
        other = load(store, names.receipt(ours.split.id, ours.generation))
    return other if other is not None and other.checksum == found else None
