"""Parts: what lies in the output directory, held against what the ledger says.

It promises that afterwards every receipt that counts has its part there with the recorded size, and
that every part of a planned split has its receipt: parts without one are adopted through their
prepared receipts, and parts of replaced shards are deleted. It does not read a part that has its
receipt.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from labelmill import threads
from labelmill.errors import CorruptRun
from labelmill.ledger import names
from labelmill.ledger.commit import load, part_checksum, settle
from labelmill.ledger.coverage import Marks
from labelmill.ledger.litter import Litter, free
from labelmill.ledger.part_names import parse_part
from labelmill.ledger.receipt import Receipt
from labelmill.ledger.state import State
from labelmill.ledger.voids import Void
from labelmill.splits import Split
from labelmill.storage import FileMissing, Store

# What pandas, DuckDB, Spark or `datasets` would read together with parts. `datasets` looks for them
# anywhere in a name: in `a.parquet.bak` as in `a.jsonl.gz`.
DATA = frozenset({"parquet", "jsonl", "ndjson", "json", "csv", "tsv", "arrow", "txt"})

_VOID = "it is a void receipt with the name of one to come"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a listing of the output directory showed."""

    missing: list[tuple[str, int]] = field(default_factory=list)  # shard, index: a receipt, no part
    resized: list[tuple[str, int, int]] = field(default_factory=list)  # part, bytes there, recorded
    unexplained: list[str] = field(default_factory=list)  # parts of known shards, no receipt
    foreign: list[str] = field(default_factory=list)  # data files that no split of the run explains


def data_files(store: Store) -> Iterator[tuple[str, int]]:
    """Path and size of every file in the output directory that somebody could read as data."""
    for entry in store.list():
        suffixes = entry.path.rpartition("/")[2].lower().split(".")[1:]
        if not names.inside(entry.path) and not DATA.isdisjoint(suffixes):
            yield entry.path, entry.size


def survey(store: Store, state: State, part_format: str) -> Survey:
    """List the parts once and compare."""
    found = Survey()
    there = Marks()
    for path, size in data_files(store):
        place = parse_part(path, part_format)
        shard = state.coverage.get(place[0]) if place else None
        if place is None or shard is None:
            found.foreign.append(path)
            continue
        recorded = shard.part_size(place[1])
        if recorded is None:
            found.unexplained.append(path)
            continue
        if size != recorded:
            found.resized.append((path, size, recorded))
        there.first(*place)
    for path, shard in state.coverage.items():
        found.missing.extend((path, index) for index in there.absent(path, shard))
    return found


def require_sizes(found: Survey) -> None:
    """Raise CorruptRun where a part has another size than recorded."""
    for path, size, recorded in found.resized:
        raise CorruptRun(
            f"part {path!r} (of {len(found.resized)}) has {size} bytes, its receipt says "
            f"{recorded}; delete the part and run again, or restore it; `labelmill verify` tells "
            "of all such parts"
        )


def void_missing(store: Store, state: State, missing: Iterable[tuple[str, int]]) -> list[Void]:
    """The receipts of parts that are gone for certain."""
    wanted = set(missing)
    gone = [
        e for e in state.entries() if (e["shard"], e["index"]) in wanted and _gone(store, e["part"])
    ]
    return [Void.of(entry) for entry in gone]


def adopt(store: Store, state: State, unexplained: Iterable[str]) -> list[str]:
    """Bring each part to its receipt, or delete it with its replaced shard; the ones left over.

    A part is deleted before anything that tells whose it is, so that a kill in between changes
    nothing: the next open finds the same evidence and goes on. Evidence in segments is never
    deleted.
    """
    paths = list(unexplained)
    prepared = _prepared_by_split(store) if paths else {}
    return [path for path in paths if not _resolve(store, state, path, prepared)]


def clean(store: Store, state: State, litter: Litter) -> None:
    """Delete the receipts that do not count or stand elsewhere, and prepared ones nobody needs.

    A prepared receipt is needed until its split has its receipt, whoever wrote it: its part may be
    on its way from an attempt that we take for dead. Void receipts go last, see `adopt`.
    """
    for path in sorted(state.barring):
        free(store, path, _VOID)
    litter.remove(state.spent - state.barring)
    litter.remove(state.bound)
    waiting = (entry.path for entry in store.list(names.PREPARED))
    loaded = threads.spread(lambda path: load(store, path), waiting)
    litter.remove([path for path, each in loaded if each and _covered(state, each.split)])


def _resolve(store: Store, state: State, path: str, prepared: dict[str, list[str]]) -> bool:
    keys = _keys(state, path)
    try:
        if _committed(store, state, path, keys):
            return True
        found = part_checksum(store, path)
    except FileMissing:
        return True
    receipts = list(_explaining(store, keys, prepared, found))
    live = [receipt for receipt in receipts if not state.void(receipt.to_entry())]
    if live:
        return _adopted(store, state, live[0])
    if receipts or found in state.void_parts.get(path, ()):
        free(store, path, "it is the part of a shard that was replaced, or of a void receipt")
        return True
    return False


def _committed(store: Store, state: State, path: str, keys: list[str]) -> bool:
    """Whether another driver has committed the part since the ledger was read; then it counts.

    While others work, some part always has; nobody could open the run who waited for none.
    """
    for receipt in (load(store, names.receipt_of(key)) for key in keys):
        if receipt is None or state.void(receipt.to_entry()):
            continue
        if store.stat(path).size == receipt.part_size:
            if state.add(receipt.to_entry()):
                state.live.append(names.receipt(receipt.split.id, receipt.generation))
            return True
    return False


def _explaining(
    store: Store, keys: list[str], prepared: dict[str, list[str]], found: str
) -> Iterator[Receipt]:
    for path in (path for key in keys for path in prepared.get(key, ())):
        receipt = load(store, path)
        if receipt is not None and receipt.checksum == found:
            yield receipt


def _adopted(store: Store, state: State, receipt: Receipt) -> bool:
    """Commit a part through its prepared receipt; False where another driver is about to."""
    path = names.receipt(receipt.split.id, receipt.generation)
    if path in state.spent:
        # A void receipt holds the name; from now on the prepared one explains the part.
        free(store, path, _VOID)
        state.spent.discard(path)
        state.barring.discard(path)
    standing = settle(store, receipt)
    if standing is not None and state.add(standing.to_entry()):
        state.live.append(path)
    return standing is not None


def _keys(state: State, path: str) -> list[str]:
    """What the prepared receipts of a part can be called, a name for each generation."""
    split_id = path.rpartition(".")[0]
    record = state.records.get(split_id.rpartition("-")[0])
    generations = range(record.generation + 1) if record else ()
    return [names.split_key(split_id, generation) for generation in generations]


def _prepared_by_split(store: Store) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for entry in store.list(names.PREPARED):
        found[names.prepared_key(entry.path)].append(entry.path)
    return dict(found)


def _covered(state: State, split: Split) -> bool:
    shard = state.coverage.get(split.shard)
    return shard is not None and shard.part_size(split.index) is not None


def _gone(store: Store, part: str) -> bool:
    try:
        store.stat(part)
    except FileMissing:
        return True
    return False
