"""Judging: the rows that were kept back, measured as `labelmill evaluate` measures a labelled run.

From the logits that lie with the best checkpoint, so that the model need not run once more. Tasks
whose logits are not kept (what is written, tags) have the metrics of their last evaluation.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from labelmill.evaluation import resampling
from labelmill.evaluation.classification import ClassificationScorer
from labelmill.evaluation.labels import GoldLabels
from labelmill.evaluation.scored import Table
from labelmill.learning import Objective
from labelmill.ops.scores import best, ranked, softmax
from labelmill.training.checkpointing import PREDICTIONS

_RESAMPLES = 1000
_SORTABLE = 50_000  # rows up to which metrics that sort them are computed


def judge(
    checkpoint: Path, objective: Objective, names: tuple[str, ...], seed: int
) -> Mapping[str, Any] | None:
    """Metrics with their 95% intervals, and tables by name; None where nothing is to be judged."""
    path = checkpoint / PREDICTIONS
    if objective != "classes" or not path.is_file():
        return None
    with np.load(path) as seen:
        given, gold = softmax(seen["logits"]), seen["labels"]
    listed = len(gold) <= _SORTABLE
    scorer = ClassificationScorer(GoldLabels((), ()), listed=listed)
    columns = dict(zip(("label", "score"), best(given, names), strict=True))
    if listed:
        columns["scores"] = ranked(given, names, len(names))
    scorer.add(pa.table(columns), pa.array(names, pa.string()).take(pa.array(gold)))
    scored = scorer.scored()
    counts = np.bincount(scored.patterns, minlength=scored.kinds)
    values = scored.counted(counts) | scored.ranked(np.arange(len(gold)))
    ends, _ = resampling.intervals(scored, _RESAMPLES, seed)
    return {
        "metrics": {
            name: {"value": _plain(value), "interval": ends.get(name)}
            for name, value in values.items()
        },
        "tables": {table.name: _told(table) for table in scored.told().tables},
    }


def _told(table: Table) -> dict[str, Any]:
    return {"about": table.about, "columns": list(table.columns), "rows": table.records()}


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
