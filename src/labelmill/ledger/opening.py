"""Opening: whether a job may begin a run in a directory, or go on with the one that is there.

It compares and changes nothing. What it lets pass can still be refused by `Run.open`, which reads
more: the receipts of parts that lie there without one.
"""

from collections.abc import Iterable

from labelmill.errors import CorruptRun, LedgerError
from labelmill.ledger import names
from labelmill.ledger.manifest import Manifest
from labelmill.ledger.parts import data_files, require_sizes, survey, void_missing
from labelmill.ledger.shards import ShardRecords, missing_records, replaceable, what_differs
from labelmill.ledger.state import State
from labelmill.splits import Shard
from labelmill.storage import Store, open_store


def require_openable(output_url: str, manifest: Manifest, shards: Iterable[Shard]) -> State | None:
    """Raise what `Run.open` would raise of settings, shards, sizes of parts, and foreign data.

    What the ledger would say then: shards that are replaced and parts that are gone are not done.
    None where there is no run.
    """
    store = open_store(output_url)
    standing = Manifest.load(store)
    if standing is None:
        require_room(store)
        return None
    manifest.require_settings_of(standing, store.url)
    state = State(store)
    news = missing_records(state.records, state.coverage, shards, standing.part_format)
    found = survey(store, state, standing.part_format)
    require_sizes(found)
    voids = void_missing(store, state, found.missing) if found.missing else []
    if voids or any(record.generation for record in news):
        return State(store, news, voids)
    return state


def unseen(store: Store, shards: Iterable[Shard]) -> list[Shard]:
    """The shards that the run knows nothing of: new ones, and those that may replace others."""
    records = ShardRecords(store)
    known = [(shard, records.get(shard.path)) for shard in shards]
    new = [shard for shard, record in known if record is None]
    other = [(shard, record) for shard, record in known if record]
    other = [(shard, record) for shard, record in other if what_differs(record.shard, shard)]
    if not other:
        return new
    coverage = State(store).coverage
    return new + [shard for shard, record in other if replaceable(record, coverage)]


def require_room(store: Store) -> None:
    """A run begins where no other data lies, which would be read together with ours."""
    data = next((path for path, _ in data_files(store)), None)
    ledger = next((e.path for e in store.list(names.ROOT) if e.path != names.MANIFEST), None)
    if (data is None and ledger is None) or Manifest.load(store) is not None:
        return  # empty, or another driver has begun the run while we looked
    if ledger is not None:
        raise CorruptRun(
            f"{store.url!r} holds {ledger!r} but no manifest; restore the manifest, or use a new "
            "output directory"
        )
    raise LedgerError(
        f"{store.url!r} holds {data!r} and no run of labelmill; use an empty or new output "
        "directory"
    )
