"""Voids: receipts that no longer count, because their part was gone when the run was opened.

A receipt is never taken back by deleting or changing it: it may stand in a segment with a thousand
others. It is voided by name: this split of this generation, as attempt A committed it. The split is
pending again, and a later attempt commits it anew; that receipt bears another attempt and counts,
even where its bytes are the same. What the voided attempt may still write, being alive after all,
is void too and is cleaned away with its part by whoever opens the run next.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from labelmill.ledger import lines, names
from labelmill.ledger.receipt import Entry
from labelmill.storage import Store, bulk


@dataclass(frozen=True, slots=True, kw_only=True)
class Void:
    """One receipt that does not count."""

    shard: str
    index: int
    generation: int
    attempt: str  # that committed it

    def to_dict(self) -> Entry:
        """JSON's view of it."""
        return {name: getattr(self, name) for name in Void.__dataclass_fields__}

    @classmethod
    def from_dict(cls, path: str, facts: Entry) -> "Void":
        """The inverse; raises CorruptRun naming `path`."""
        try:
            return cls(**facts)
        except lines.ODD as err:
            raise lines.broken(path, err) from err

    @classmethod
    def of(cls, entry: Entry) -> "Void":
        """The void that would take this receipt out."""
        return cls(**{name: entry[name] for name in Void.__dataclass_fields__})


class Voids:
    """Every void of a run."""

    def __init__(self, store: Store, more: Iterable[Void] = ()) -> None:
        """`more` count like those of the store, and are not written."""
        paths = sorted(entry.path for entry in store.list(names.VOIDS))
        self.files = len(paths)
        self._voids = {
            Void.from_dict(path, facts)
            for path, data in bulk.read_all(store, paths)
            for facts in lines.unpack(path, data)
        } | set(more)

    def __contains__(self, entry: Entry) -> bool:
        return bool(self._voids) and Void.of(entry) in self._voids


def record_voids(store: Store, attempt: str, voids: list[Void]) -> None:
    """Make the voids durable; raises nothing where they are there already."""
    number = 0
    data = lines.pack(void.to_dict() for void in voids)
    while not store.create(names.voids(f"{attempt}-{number}"), data):
        number += 1
