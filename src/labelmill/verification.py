"""Verification: re-reads a run's output and proves that every row that was read is there once.

It does not trust our own counts: it takes every part's checksum and counts its rows anew, holds the
splits of every shard end to end, counts the rejects that are kept, and with `source` compares with
what the source says of itself, Parquet footers and newlines. It changes nothing, and a problem is a
value, not an exception. Memory is flat: some parts at a time, some bytes a split.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from labelmill import threads
from labelmill.errors import CorruptRun, InputError
from labelmill.formats import Format, PartFormat
from labelmill.ledger.coverage import ShardCoverage
from labelmill.ledger.manifest import Manifest, read_manifest
from labelmill.ledger.parts import survey
from labelmill.ledger.receipt import Entry, breaks_of, checksum
from labelmill.ledger.run import is_sealed
from labelmill.ledger.segments import read_rejects
from labelmill.ledger.state import State
from labelmill.ops import plugins
from labelmill.source import current
from labelmill.splits import Break, Shard
from labelmill.storage import FileMissing, Store, bulk, open_store

Kind = Literal[
    "missing",  # a part with a receipt is not there
    "truncated",  # a part is shorter than recorded
    "altered",  # a part or a file of the ledger is not what was written
    "foreign",  # data lies in the output that no receipt explains
    "miscounted",  # rows, splits or rejects do not add up
    "unfinished",  # rows are not labelled yet
    "changed source",  # a shard is not the file that was labelled
]
Progress = Callable[[int, int], None]  # parts verified so far, and of how many

_THREADS = 4
_WINDOW = 6  # parts in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is not as it must be."""

    kind: Kind
    path: str  # of the part, shard or ledger file
    found: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was compared, and what was wrong with it."""

    problems: tuple[Problem, ...]
    shards: int
    shards_damaged: int  # what lies behind the damage nobody could read
    parts: int
    part_bytes: int  # read back
    rows_read: int  # of the source, by the receipts
    rows_written: int  # counted in the parts
    rows_rejected: int  # counted in the rejects

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.problems


def verify(
    output_url: str, *, source: bool = False, progress: Progress | None = None
) -> Verification:
    """Verify the run in an output directory; `source` re-counts the shards too.

    Raises LedgerError where there is no run, CorruptRun where its ledger cannot be read at all,
    StorageError.
    """
    return verify_store(open_store(output_url), source=source, progress=progress)


def verify_store(
    store: Store, *, source: bool = False, progress: Progress | None = None
) -> Verification:
    """The same in a store that is open."""
    return _Verifier(store, progress).verify(source=source)


class _Verifier:
    """One pass over a run, gathering what is wrong."""

    def __init__(self, store: Store, progress: Progress | None) -> None:
        self._store = store
        self._manifest: Manifest = read_manifest(store)
        self._format: PartFormat = plugins.load("labelmill.formats", self._manifest.part_format)
        self._progress = progress
        self._state = State(store)
        self._problems: list[Problem] = []
        self._counts: Counter[str] = Counter()
        self._breaks: dict[str, list[Break]] = defaultdict(list)

    def verify(self, *, source: bool) -> Verification:
        self._require_parts()
        self._require_nothing_else()
        self._require_shards()
        self._require_rejects()
        if source:
            self._require_source()
        return Verification(
            problems=tuple(self._problems),
            shards=len(self._state.records),
            shards_damaged=sum(shard.damaged for _, shard in self._state.coverage.items()),
            parts=self._counts["parts"],
            part_bytes=self._counts["bytes"],
            rows_read=self._state.tally.sums["rows_read"],
            rows_written=self._counts["rows"],
            rows_rejected=self._counts["rejects"],
        )

    def _report(self, kind: Kind, path: str, found: str, expected: str) -> None:
        self._problems.append(Problem(kind=kind, path=path, found=found, expected=expected))

    def _require_parts(self) -> None:
        """Every receipt has its part, byte for byte, with as many rows as it says."""
        receipts = 0
        for entry, part in threads.spread(self._read, self._state.entries(), _THREADS, _WINDOW):
            receipts += 1
            if entry["breaks"]:
                self._breaks[entry["shard"]].extend(breaks_of(entry))
            self._require_receipt(entry)
            self._require_part(entry, part)
            if self._progress is not None:
                self._progress(receipts, self._state.tally.splits)
        if receipts != self._state.tally.splits:
            found = f"{self._state.tally.splits - receipts} receipts moved while we read"
            self._report("unfinished", self._store.url, found, "a run that nobody works on")

    def _read(self, entry: Entry) -> "_Part | None":
        try:
            data = bulk.read(self._store, entry["part"])
        except FileMissing:
            return None
        found = checksum(data)
        if found != entry["checksum"]:
            return _Part(size=len(data), checksum=found, rows=0)
        try:
            return _Part(size=len(data), checksum=found, rows=self._format.part_rows(data))
        except InputError as error:
            return _Part(size=len(data), checksum=found, rows=0, fault=str(error))

    def _require_receipt(self, entry: Entry) -> None:
        names = ("rows_read", "rows_labelled", "rows_rejected")
        read, labelled, rejected = (entry[name] for name in names)
        if read != labelled + rejected or entry["rows_written"] not in {labelled, read}:
            found = f"{labelled} labelled, {rejected} rejected, {entry['rows_written']} written"
            self._report("miscounted", entry["part"], found, f"{read} rows read")

    def _require_part(self, entry: Entry, part: "_Part | None") -> None:
        path, size = entry["part"], entry["part_size"]
        if part is None:
            self._report("missing", path, "no file", f"{size} bytes")
            return
        self._counts.update(parts=1, bytes=part.size, rows=part.rows)
        if part.size < size:
            self._report("truncated", path, f"{part.size} bytes", f"{size} bytes")
        elif part.checksum != entry["checksum"]:
            self._report("altered", path, part.checksum, entry["checksum"])
        elif part.fault or part.rows != entry["rows_written"]:
            found = part.fault or f"{part.rows} rows"
            self._report("miscounted", path, found, f"{entry['rows_written']} rows")

    def _require_nothing_else(self) -> None:
        found = survey(self._store, self._state, self._manifest.part_format)
        for path in sorted(found.foreign):
            self._report("foreign", path, "a data file", "only parts of this run")
        for path in sorted(found.unexplained):
            void = "the part of a shard that was replaced" if path in self._state.void_parts else ""
            self._report("foreign", path, void or "a part without a receipt", "only parts with one")

    def _require_shards(self) -> None:
        """Every shard is done, and its splits lie end to end."""
        for path, shard in self._state.coverage.items():
            if not shard.done:
                last = "unknown" if shard.last is None else str(shard.last + 1)
                self._report("unfinished", path, f"{shard.splits} splits", f"all splits ({last})")
            for found, expected in _seams(path, shard, self._breaks.get(path, [])):
                self._report("miscounted", path, found, expected)
        if self._state.finished() and not is_sealed(self._store, self._state):
            self._report("unfinished", self._store.url, "no seal", "a sealed run")

    def _require_rejects(self) -> None:
        """As many rejects are kept of every shard as its receipts say."""
        kept: Counter[str] = Counter()
        try:
            kept.update(placed.shard for placed in read_rejects(self._store, self._state))
        except (CorruptRun, FileMissing) as error:
            self._report("altered", "rejects", str(error), "every file of rejects as written")
            return
        self._counts["rejects"] = kept.total()
        for path, shard in self._state.coverage.items():
            if kept[path] != shard.rows_rejected:
                found = f"{kept[path]} rejects kept"
                self._report("miscounted", path, found, f"{shard.rows_rejected} rejects")

    def _require_source(self) -> None:
        records = (record.shard for record in self._state.records)
        for _, problem in threads.spread(self._recount, records, _THREADS, _WINDOW):
            if problem is not None:
                self._problems.append(problem)

    def _recount(self, shard: Shard) -> Problem | None:
        """What is wrong with a shard that is read again; a damaged one cannot be counted."""
        recorded, found = _identity(shard.size, shard.version), _current(shard)
        if found != recorded:
            return _changed(shard, found, recorded)
        covered = self._state.coverage.get(shard.path)
        if covered is None or covered.damaged or not covered.done:
            return None
        reader: Format = plugins.load("labelmill.formats", shard.format)
        try:
            counted = reader.count(shard)
        except InputError as error:
            return _changed(shard, str(error), "a shard that can be read, as when it was labelled")
        if counted == covered.rows_read:
            return None
        found, expected = f"{covered.rows_read} rows accounted for", f"{counted} rows"
        return Problem(kind="miscounted", path=shard.path, found=found, expected=expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A part as it lies there; `rows` is 0 where it is not what was recorded."""

    size: int
    checksum: str
    rows: int
    fault: str = ""  # why its rows cannot be counted


def _changed(shard: Shard, found: str, expected: str) -> Problem:
    return Problem(kind="changed source", path=shard.path, found=found, expected=expected)


def _current(shard: Shard) -> str:
    try:
        entry = current(shard)
    except FileMissing:
        return "no file"
    return _identity(entry.size, entry.version)


def _identity(size: int, version: str) -> str:
    return f"{size} bytes, version {version!r}"


def _seams(path: str, shard: ShardCoverage, breaks: list[Break]) -> Iterator[tuple[str, str]]:
    """Where two neighbouring splits do not meet: what was found, what was expected."""
    stop, previous = 0, -1
    for index, split in shard.done_splits(path).items():
        if index == previous + 1 and not _meets(stop, split.start, breaks):
            found = f"split {index} starts at {split.start}"
            yield found, f"at {stop}, where the one before ends, or a break between"
        stop, previous = split.stop, index


def _meets(stop: int, start: int, breaks: list[Break]) -> bool:
    """Whether nothing lies between, or only what breaks tell of."""
    for piece in sorted(breaks, key=lambda each: each.start):
        if piece.start <= stop < start:
            stop = start if piece.stop is None else max(stop, min(piece.stop, start))
    return stop == start
