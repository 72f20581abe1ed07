"""The result of an evaluation, as it is printed, drawn and written as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from labelmill.evaluation.scored import Told


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCounts:
    """What became of the rows; `read` is the sum of the others but the last."""

    read: int
    rejected: int
    unlabelled: int  # the model had nothing to answer
    without_gold: int
    evaluated: int
    unreadable: int  # lines of JSON with a value that no column can hold
    gold_unused: int  # gold values in a file that no row that was written has


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A metric with its 95% bootstrap interval, None where there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The rows of one value of a column; None is null."""

    value: str | None
    rows: int
    metrics: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything that was measured."""

    output: str
    task: str
    model: str
    gold: str
    key: str | None
    complete: bool
    splits_done: int
    splits: int | None  # None while nobody knows
    rows: RowCounts
    headline: tuple[str, ...]  # the metrics to be told first
    metrics: Mapping[str, Measured]
    slices: Mapping[str, tuple[Slice, ...]]
    resamples: int
    seed: int
    told: Told = field(default_factory=Told)

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints; tables by their names, as lists of objects."""
        facts = {name: getattr(self, name) for name in _PLAIN}
        return facts | {
            "rows": asdict(self.rows),
            "metrics": {name: asdict(found) for name, found in self.metrics.items()},
            "slices": {by: [asdict(each) for each in found] for by, found in self.slices.items()},
            "tables": {table.name: table.records() for table in self.told.tables},
            "left_out": dict(self.told.left_out),
            "notes": list(self.told.notes),
            "signatures": dict(self.told.signatures),
        }


_PLAIN = tuple(
    name
    for name in Evaluation.__dataclass_fields__
    if name not in {"rows", "metrics", "slices", "told"}
)
