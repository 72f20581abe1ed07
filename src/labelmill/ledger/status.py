"""Status: how far a run is, by its ledger alone: finished, running or crashed.

The names of the first block of fields are those of the object that `--json` prints.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labelmill.ledger.attempts import read_attempts
from labelmill.ledger.manifest import Manifest, read_manifest
from labelmill.ledger.receipt import PlacedBreak, placed_breaks
from labelmill.ledger.run import is_sealed
from labelmill.ledger.segments import PlacedReject, read_rejects
from labelmill.ledger.state import State
from labelmill.ledger.totals import Totals
from labelmill.storage import Store, open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardStatus:
    """One shard's line."""

    path: str
    splits_done: int
    splits: int | None  # None while nobody knows
    rows_read: int
    rows_labelled: int
    rows_rejected: int
    done: bool
    damaged: bool
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A run at one moment."""

    rows_read: int
    rows_labelled: int
    rows_rejected: int
    rows_repeated: int
    shards: int
    shards_damaged: int
    splits: int | None
    splits_done: int
    tokens: int
    padding_fraction: float
    seconds: float
    rows_per_second: float
    tokens_per_second: float
    attempts: int
    output: str
    complete: bool

    totals: Totals
    manifest: Manifest
    shard_lines: tuple[ShardStatus, ...]
    rejects_by_reason: Mapping[str, int]  # most frequent first
    agreement: Mapping[str, Mapping[str, Any]]  # attempt -> its worst self-check
    replica: Mapping[str, Mapping[str, Any]]  # attempt -> engine, precision, device, ...
    last_commit: float | None  # unix seconds; None before the first
    damage: tuple[PlacedBreak, ...]  # about the first thousand; `damage_of` has all

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {name: getattr(self, name) for name in JSON_KEYS}


_REST = {
    "totals",
    "manifest",
    "shard_lines",
    "rejects_by_reason",
    "agreement",
    "replica",
    "last_commit",
    "damage",
}
JSON_KEYS = tuple(name for name in Status.__dataclass_fields__ if name not in _REST)


def read_status(output_url: str) -> Status:
    """The status of the run in an output directory; raises LedgerError where there is none."""
    return status_of(open_store(output_url))


def status_of(store: Store, state: State | None = None) -> Status:
    """The same in a store that is open, of what was read of it already."""
    manifest, attempts = read_manifest(store), read_attempts(store)
    state = state or State(store)
    totals = Totals.of(state, attempts, complete=is_sealed(store, state))
    known = {name: getattr(totals, name) for name in JSON_KEYS if name != "output"}
    return Status(
        **known,
        output=store.url,
        totals=totals,
        manifest=manifest,
        shard_lines=tuple(_lines(state)),
        rejects_by_reason=dict(state.tally.reasons.most_common()),
        agreement=state.tally.agreement,
        replica=state.tally.replica,
        last_commit=max(state.tally.last_commit.values(), default=None),
        damage=tuple(state.tally.damage),
    )


def rejects_of(output_url: str) -> Iterator[PlacedReject]:
    """Every reject of a run, each once; raises LedgerError where there is no run."""
    store = open_store(output_url)
    read_manifest(store)
    return read_rejects(store, State(store))


def damage_of(output_url: str) -> Iterator[PlacedBreak]:
    """Every damaged piece of a run's shards; raises LedgerError where there is no run."""
    store = open_store(output_url)
    read_manifest(store)
    return (piece for entry in State(store).entries() for piece in placed_breaks(entry))


def _lines(state: State) -> Iterator[ShardStatus]:
    for path, shard in state.coverage.items():
        yield ShardStatus(
            path=path,
            splits_done=shard.splits,
            splits=None if shard.last is None else shard.last + 1,
            rows_read=shard.rows_read,
            rows_labelled=shard.rows_labelled,
            rows_rejected=shard.rows_rejected,
            done=shard.done,
            damaged=shard.damaged,
            generation=shard.generation,
        )
