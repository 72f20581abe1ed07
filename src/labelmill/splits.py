"""The nouns of cutting: shard, cut rule, split, break, and the rows of a split on their way.

Formats make them, the ledger records them, the stages pass them on. Nothing here reads a file. A
position in a shard is a byte offset in the decompressed stream of text (JSON Lines, CSV, TSV), and
a row number elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

FIELD = "field:"
KEPT = "kept:"
TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One input file, and what tells whether it is still the same file."""

    path: str  # relative to its root, with '/'; the shard's name in the run
    url: str  # where to read it: an absolute local path or a URL
    format: str  # the name of a module under `formats`
    size: int  # bytes, as stored
    version: str  # modification time in ns, or etag


@dataclass(frozen=True, slots=True, kw_only=True)
class CutRule:
    """Where a split ends: before the row that would exceed a bound; it has at least one row."""

    split_rows: int
    split_bytes: int  # decompressed


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Split:
    """A contiguous piece [start, stop) of one shard: unit of work, of retry and of commit."""

    shard: str  # Shard.path
    index: int  # 0, 1, ... in the shard
    start: int
    stop: int
    last: bool  # the shard ends here

    @property
    def id(self) -> str:
        """The name of the split in the run, also the name of its part without the suffix."""
        return split_id(self.shard, self.index)


def split_id(shard: str, index: int) -> str:
    """`Split.id`, where there is no split: a listing has a million names."""
    return f"{shard}-{index:05d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A piece of a shard that its decoder refused; rows in it, if any, are lost to us.

    `stop` is None where nobody can know how far it reaches: the rest of a broken stream.
    """

    start: int
    stop: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A row that could not be labelled, with its place and the reason."""

    position: int
    reason: str
    text: str | None = None  # what stood there, cut to a readable length; None when not to be kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Every row of one split, good or bad, in the order of the shard.

    `position` int64 and `error` string have one entry a row; `error` is null where the row is good
    so far. `fields` are the task's fields by name, `kept` the input columns to carry on, by their
    own names. `text` string is what stood where the reader found a bad row, cut to a readable
    length; null elsewhere.
    """

    position: pa.ChunkedArray
    error: pa.ChunkedArray
    fields: Mapping[str, pa.ChunkedArray]
    kept: Mapping[str, pa.ChunkedArray]
    text: pa.ChunkedArray | None = None  # string: of a bad row, the beginning of what stood there

    def __len__(self) -> int:
        return len(self.position)

    @property
    def good(self) -> pa.ChunkedArray:
        """Boolean, one a row: nothing is known against it."""
        return pc.is_null(self.error)

    def with_error(self, error: pa.ChunkedArray) -> "Rows":
        """The same rows with other verdicts."""
        return replace(self, error=error)

    def to_table(self) -> pa.Table:
        """One table, the inverse of `from_table`; prefixes keep the families of columns apart."""
        columns = {"position": self.position, "error": self.error}
        columns |= {} if self.text is None else {TEXT: self.text}
        columns |= {FIELD + name: column for name, column in self.fields.items()}
        columns |= {KEPT + name: column for name, column in self.kept.items()}
        return pa.table(columns)

    @classmethod
    def from_table(cls, table: pa.Table) -> "Rows":
        """The rows that `to_table` laid out."""

        def family(prefix: str) -> dict[str, pa.ChunkedArray]:
            names = (name for name in table.column_names if name.startswith(prefix))
            return {name.removeprefix(prefix): table[name] for name in names}

        return cls(
            position=table["position"],
            error=table["error"],
            fields=family(FIELD),
            kept=family(KEPT),
            text=table[TEXT] if TEXT in table.column_names else None,
        )
