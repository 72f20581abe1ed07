"""Receipt: the durable proof that a part is complete.

It promises an exact round trip through JSON. An *entry* is a receipt's JSON object as segments hold
it: the rejects are elsewhere and only their reasons are counted. Readers of a million receipts work
on entries and build no receipt.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from labelmill.errors import LedgerError
from labelmill.ledger import lines
from labelmill.splits import Break, Reject, Split

Entry = dict[str, Any]  # see the module docstring


def part_name(split: Split, part_format: str) -> str:
    """The path of a split's part below the output directory: a function of the split alone."""
    return f"{split.id}.{part_format}"


def checksum(part: bytes | memoryview) -> str:
    """What a receipt says of its part's bytes."""
    return f"sha256:{hashlib.sha256(part).hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of one split. `rejects` is empty where it was read back from a segment."""

    split: Split
    generation: int  # of the shard's record
    part: str  # path below the output directory
    part_size: int  # bytes
    checksum: str  # "sha256:" and hex, of the part's bytes
    rows_read: int
    rows_labelled: int
    rows_rejected: int
    rows_written: int
    tokens: int
    padded_tokens: int
    rejects: tuple[Reject, ...]
    breaks: tuple[Break, ...]
    seconds: Mapping[str, float]  # stage -> wall seconds
    attempt: str
    rows_repeated: int = 0  # of those read: the same to the model as an earlier row of the split
    tokens_repeated: int = 0  # of `tokens`: predicted with the earlier sequence that is the same
    agreement: Mapping[str, Any] | None = None  # the float32 self-check, where this split had one
    replica: Mapping[str, Any] = field(
        default_factory=dict
    )  # engine, precision, device, budget, ...
    time: float = field(default_factory=time.time)  # when it was made, unix seconds

    def check(self) -> None:
        """Raise LedgerError where the counts contradict each other, which is a bug of ours."""
        sums = self.rows_read == self.rows_labelled + self.rows_rejected
        kept = self.rows_written in {self.rows_labelled, self.rows_read}
        if not (sums and kept and self.rows_rejected == len(self.rejects)):
            raise LedgerError(
                f"split {self.split.id!r} does not add up: {self.rows_read} rows read, "
                f"{self.rows_labelled} labelled, {self.rows_rejected} rejected, "
                f"{len(self.rejects)} rejects kept, {self.rows_written} written; this is a bug in "
                "labelmill, please report it"
            )

    def to_json(self) -> bytes:
        """ASCII bytes, the inverse of `from_json`."""
        rejects = [[reject.position, reject.reason, reject.text] for reject in self.rejects]
        return json.dumps(self._facts() | {"rejects": rejects}, allow_nan=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """The receipt that `to_json` wrote."""
        return cls.from_entry(json.loads(data))

    def to_entry(self) -> Entry:
        """The receipt as a segment holds it."""
        return self._facts() | {"reasons": dict(Counter(reject.reason for reject in self.rejects))}

    @classmethod
    def from_file(cls, path: str, data: bytes) -> Self:
        """The receipt of a file of the ledger; raises CorruptRun naming `path`."""
        entry = lines.parse(path, data)
        try:
            return cls.from_entry(entry)
        except (*lines.ODD, ValueError) as err:
            raise lines.broken(path, err) from err

    @classmethod
    def from_entry(cls, entry: Entry) -> Self:
        """The receipt of an entry, without rejects where they are elsewhere."""
        facts = {key: value for key, value in entry.items() if key not in {*_SPLIT, "reasons"}}
        rejects = facts.get("rejects", ())
        facts["rejects"] = tuple(Reject(position=p, reason=r, text=t) for p, r, t in rejects)
        facts["breaks"] = breaks_of(entry)
        return cls(split=Split(**{key: entry[key] for key in _SPLIT}), **facts)

    def _facts(self) -> Entry:
        facts = {name: getattr(self, name) for name in _PLAIN}
        place = {key: getattr(self.split, key) for key in _SPLIT}
        breaks = [[piece.start, piece.stop, piece.reason] for piece in self.breaks]
        return place | facts | {"breaks": breaks}


def breaks_of(entry: Entry) -> tuple[Break, ...]:
    """The broken pieces that an entry tells of."""
    return tuple(Break(start=a, stop=b, reason=reason) for a, b, reason in entry["breaks"])


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedBreak:
    """A damaged piece with the shard that it lies in."""

    shard: str
    piece: Break


def placed_breaks(entry: Entry) -> tuple[PlacedBreak, ...]:
    """The same with their shard."""
    return tuple(PlacedBreak(shard=entry["shard"], piece=piece) for piece in breaks_of(entry))


_SPLIT = ("shard", "index", "start", "stop", "last")
_PLAIN = tuple(
    name for name in Receipt.__dataclass_fields__ if name not in {"split", "rejects", "breaks"}
)
