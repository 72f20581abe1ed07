"""Shard records: which files a run labels, and how to tell that they are still the same files.

Append-only: each file of records is created exclusively under the next number, so that several
drivers may append at once; whoever comes second reads what the first wrote and tries again. A
shard's place in the run is the place of its first record and never moves. A later record of the
same path with a higher generation replaces it: all receipts of older generations are void from then
on. Only a damaged shard is replaced, or what has replaced one and is not begun.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from labelmill.errors import CorruptRun, InputError
from labelmill.ledger import lines, names
from labelmill.ledger.coverage import Coverage
from labelmill.ledger.part_names import require_names
from labelmill.splits import Shard
from labelmill.storage import Store, bulk

_IDENTITY = ("size", "version", "format")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRecord:
    """One shard as it was when it was recorded."""

    shard: Shard
    generation: int  # 0, and one more each time a damaged shard is replaced

    def to_dict(self) -> dict[str, Any]:
        """JSON's view of it."""
        facts = {name: getattr(self.shard, name) for name in Shard.__dataclass_fields__}
        return facts | {"generation": self.generation}

    @classmethod
    def from_dict(cls, path: str, facts: dict[str, Any]) -> "ShardRecord":
        """The inverse; raises CorruptRun naming `path`."""
        try:
            return cls(generation=facts.pop("generation"), shard=Shard(**facts))
        except lines.ODD as err:
            raise lines.broken(path, err) from err


class ShardRecords:
    """Every shard of a run, in the run's order."""

    def __init__(self, store: Store, news: Iterable[ShardRecord] = ()) -> None:
        """`news` count after those of the store, and are not written."""
        self._store = store
        self._records: dict[str, ShardRecord] = {}
        self.files = 0  # record files read: what the next one is called
        self.refresh()
        self._take(news)

    def __iter__(self) -> Iterator[ShardRecord]:
        return iter(self._records.values())

    def __len__(self) -> int:
        return len(self._records)

    def get(self, path: str) -> ShardRecord | None:
        """The newest record of a shard."""
        return self._records.get(path)

    def refresh(self) -> None:
        """Read the record files that came since; raises CorruptRun where one is missing between."""
        paths = sorted(entry.path for entry in self._store.list(names.SHARDS))
        wanted = [names.shard_record(number) for number in range(len(paths))]
        if paths != wanted:
            missing = min(set(wanted) - set(paths))
            raise CorruptRun(
                f"{missing!r} is missing from the run in {self._store.url!r}, later shard records "
                "are there; restore it, or use a new output directory"
            )
        for path, data in bulk.read_all(self._store, paths[self.files :]):
            self._take(ShardRecord.from_dict(path, facts) for facts in lines.unpack(path, data))
            self.files += 1

    def append(self, records: Sequence[ShardRecord]) -> bool:
        """Record them under the next number; False where another driver has taken it."""
        data = lines.pack(each.to_dict() for each in records)
        if not self._store.create(names.shard_record(self.files), data):
            return False
        self._take(records)
        self.files += 1
        return True

    def _take(self, records: Iterable[ShardRecord]) -> None:
        self._records.update((record.shard.path, record) for record in records)


def register(
    records: ShardRecords, coverage: Coverage, shards: Iterable[Shard], part_format: str
) -> bool:
    """Record what is new in the source; True where a shard was replaced, which voids receipts.

    Raises as `missing_records` does.
    """
    shards = tuple(shards)
    while news := missing_records(records, coverage, shards, part_format):
        if records.append(news):
            return any(record.generation for record in news)
        records.refresh()
        coverage.expect(records)
    return False


def missing_records(
    records: ShardRecords, coverage: Coverage, shards: Iterable[Shard], part_format: str
) -> list[ShardRecord]:
    """What is to be recorded of the source; changes nothing.

    Raises InputError for a changed shard, for one that is gone before it was done, for two of one
    name, and for a name that no part can have.
    """
    listed = require_names(shards, part_format)
    require_present(records, coverage, listed)
    _refuse_twice(records, listed)
    return [news for shard in listed.values() if (news := _news(records, coverage, shard))]


def _refuse_twice(records: ShardRecords, listed: Mapping[str, Shard]) -> None:
    """Raise InputError where a file of the run comes again under another path, changed or not."""
    new = [shard for shard in listed.values() if records.get(shard.path) is None]
    known = {record.shard.url: record.shard for record in records} if new else {}
    for shard in new:
        same = known.get(shard.url)
        if same is not None:
            raise InputError(
                f"{shard.url!r} is shard {same.path!r} of the run, and {shard.path!r} by the paths "
                "of this job; its rows would be labelled twice; name source.path as it was, with "
                "the others beside it, or use a new output directory"
            )


def require_present(records: ShardRecords, coverage: Coverage, listed: Mapping[str, Shard]) -> None:
    """Raise InputError where a shard is gone from the source before it was done."""
    for record in records:
        path = record.shard.path
        if path not in listed and not coverage.done(path):
            raise InputError(
                f"shard {path!r} of the run is no longer in the source and not labelled to its "
                "end; restore it, or use a new output directory"
            )


def _news(records: ShardRecords, coverage: Coverage, shard: Shard) -> ShardRecord | None:
    """The record that the shard needs; None where it is recorded as it is."""
    standing = records.get(shard.path)
    if standing is None:
        return ShardRecord(shard=shard, generation=0)
    known = standing.shard
    changes = what_differs(known, shard)
    if not changes:
        # The source was moved or is reached by another road: the same files elsewhere.
        return None if known.url == shard.url else replace(standing, shard=shard)
    if replaceable(standing, coverage):
        return ShardRecord(shard=shard, generation=standing.generation + 1)
    raise InputError(
        f"shard {shard.path!r} changed since the run began: {'; '.join(changes)}; restore it, or "
        "use a new output directory"
    )


def replaceable(standing: ShardRecord, coverage: Coverage) -> bool:
    """Whether another file may come in the shard's place: it is damaged, or took a damaged one's.

    Of the latter only until its first receipt: what replaced a damaged file may be the wrong one.
    """
    path = standing.shard.path
    covered = coverage.get(path)
    begun = covered is not None and covered.splits > 0
    return coverage.damaged(path) or (standing.generation > 0 and not begun)


def what_differs(known: Shard, found: Shard) -> list[str]:
    """What tells that the file is another one; empty where it is the same."""
    facts = [(name, getattr(known, name), getattr(found, name)) for name in _IDENTITY]
    return [f"{name} was {was!r}, is {now!r}" for name, was, now in facts if was != now]
