"""Rows that are the same to the model are predicted once, and nobody sees it in the parts.

Each job runs as it is, and with every row taken as one of a kind. A microbatch holds one sequence,
since the last bits of a score may depend on what else is in it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelmill.batch import Encoded
from labelmill.ledger.state import State
from labelmill.ledger.status import Status
from labelmill.ops import repeats
from labelmill.reports.summary import summary
from labelmill.storage import open_store
from tests.support import corpus, inline
from tests.support.hostile import NAN, hostile_classifier
from tests.support.models import tiny_classifier
from tests.support.tagger_models import tiny_tagger
from tests.support.writing_models import tiny_decoder

GOOD, BAD, LONG = "the film was great", "terrible service", "slow and dull, then good. " * 12
TEXTS = [GOOD, BAD, None, GOOD, LONG, GOOD, None, LONG, BAD, "never good"]
SAVED = 4  # of them


@dataclass(frozen=True, kw_only=True)
class Case:
    """A task, its model, and what its rows are."""

    task: str
    model: Callable[[Path], str] = tiny_classifier
    rows: Mapping[str, list[Any]] = field(default_factory=lambda: {"text": TEXTS})
    options: Mapping[str, Any] = field(default_factory=dict)
    saved: int = SAVED
    rejected: int = 2


CASES = {
    "text-classification": Case(task="text-classification"),
    "windows": Case(task="text-classification", options={"long_text": "window", "max_length": 24}),
    "pairs": Case(
        task="text-classification",
        rows={"text": TEXTS, "text_pair": ["a", "b", "a", "c", "d", "a", "", "d", "b", None]},
        saved=3,
    ),
    "token-classification": Case(
        task="token-classification", model=tiny_tagger, options={"max_length": 24, "stride": 4}
    ),
    "greedy": Case(
        task="text-generation", model=tiny_decoder, options={"max_new_tokens": 6, "max_length": 50}
    ),
    "drawn": Case(
        task="text-generation",
        model=tiny_decoder,
        options={"max_new_tokens": 6, "max_length": 50, "temperature": 1.0, "seed": 3},
    ),
    "too long": Case(
        task="text-generation",
        model=tiny_decoder,
        options={"max_new_tokens": 6, "max_length": 30, "long_text": "reject"},
        saved=3,
        rejected=4,
    ),
}


def run(directory: Path, case: Case, model: str, **resources: Any) -> Status:
    (directory / "in").mkdir(parents=True)
    rows = {name: pa.array(values, pa.string()) for name, values in case.rows.items()}
    count = len(next(iter(rows.values())))
    pq.write_table(pa.table({"id": range(count), **rows}), directory / "in" / "rows.parquet")
    settings = {
        "task": case.task,
        "model": {"path": model, "precision": "float32", "engine": "pytorch"},
        "source": {"path": str(directory / "in"), "columns": {name: name for name in rows}},
        "output": {"path": str(directory / "out"), "max_rejected": 1.0},
        "options": dict(case.options),
        "resources": {"microbatch_tokens": 1, **resources},
    }
    return inline.label(inline.job_of(directory, settings))


def alone(encoded: Encoded) -> Any:
    return np.arange(len(encoded))


@pytest.mark.parametrize("name", CASES)
def test_parts_are_the_same_bytes_whether_repeated_rows_are_predicted_once_or_each(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    model = case.model(tmp_path / "model")

    once = run(tmp_path / "once", case, model)
    monkeypatch.setattr(repeats, "originals", alone)
    each = run(tmp_path / "each", case, model)

    found = corpus.contents(corpus.parts(tmp_path / "once" / "out"))
    assert found == corpus.contents(corpus.parts(tmp_path / "each" / "out"))
    assert (once.rows_repeated, each.rows_repeated) == (case.saved, 0)
    assert once.rows_rejected == each.rows_rejected == case.rejected
    assert (once.tokens, once.padding_fraction) == (each.tokens, each.padding_fraction)
    assert once.totals.padded_tokens < each.totals.padded_tokens


def test_repeated_rows_are_told_in_receipt_json_and_closing_table(tmp_path: Path) -> None:
    status = run(tmp_path / "job", CASES["text-classification"], tiny_classifier(tmp_path / "m"))

    (entry,) = State(open_store(str(tmp_path / "job" / "out"))).entries()
    assert (entry["rows_repeated"], status.to_json()["rows_repeated"]) == (SAVED, SAVED)
    assert 0 < entry["tokens_repeated"] < entry["tokens"]
    table = json.dumps(list(_cells(summary(status))))
    assert '"rows repeated", "4 (40.0%, predicted once)"' in table


def _cells(shown: Any) -> list[str]:
    columns = shown.renderables[0].columns
    pairs = zip(*(list(column.cells) for column in columns), strict=True)
    return [cell for pair in pairs for cell in pair]


def test_repeats_of_a_row_without_a_finite_output_are_rejects_too(tmp_path: Path) -> None:
    model = hostile_classifier(tmp_path / "model")
    (tmp_path / "job" / "in").mkdir(parents=True)
    texts = ["good", f"good {NAN}", "good", f"good {NAN}", f"bad {NAN}"]
    pq.write_table(pa.table({"text": texts}), tmp_path / "job" / "in" / "rows.parquet")
    settings = {
        "task": "text-classification",
        "model": {"path": model, "precision": "float32", "trust_remote_code": True},
        "source": {"path": str(tmp_path / "job" / "in")},
        "output": {"path": str(tmp_path / "job" / "out"), "max_rejected": 1.0},
    }

    status = inline.label(inline.job_of(tmp_path / "job", settings))

    assert (status.rows_rejected, status.rows_labelled, status.rows_repeated) == (3, 2, 2)
