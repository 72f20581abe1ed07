"""labelmill: the command `labelmill label` on a job file, as a user runs it.

Its steady state is read from the receipts in its ledger: from the start of the first prediction
(the time of a receipt less what predicting and writing took) to the last receipt. With a head that
is not trained the job takes any agreement with float32, which the table shows: such margins are
thin, and int8 gets them wrong.
"""

import sys
from pathlib import Path

import yaml

from benchmarks.contenders import Report
from benchmarks.setting import Setting
from labelmill.ledger.receipt import Entry
from labelmill.ledger.state import State
from labelmill.ledger.status import read_status
from labelmill.storage import open_store

_STAGES = ("read", "tokenize", "predict", "write")


def command(setting: Setting) -> list[str]:
    """The command line that labels the setting's shards."""
    job = Path(f"{setting.output}.yaml")
    job.write_text(yaml.safe_dump(_job(setting)))
    return [sys.executable, "-m", "labelmill", "label", str(job), "--json"]


def report(setting: Setting) -> Report:
    """What the ledger of the finished command tells."""
    status = read_status(setting.output)
    if not status.complete:
        raise SystemExit(f"the run in {setting.output!r} is not whole")
    entries = list(State(open_store(setting.output)).entries())
    stages = {name: sum(entry["seconds"].get(name, 0.0) for entry in entries) for name in _STAGES}
    return Report(
        rows=status.rows_labelled,
        steady_seconds=max(entry["time"] for entry in entries) - min(map(_begun, entries)),
        facts={
            "stage_seconds": stages,
            "splits": status.splits_done,
            "tokens": status.tokens,
            "padding_fraction": status.padding_fraction,
        },
    )


def _begun(entry: Entry) -> float:
    """When predicting this split began, unix seconds.

    A split may have waited between the two; the first of a run has nothing to wait for.
    """
    seconds = entry["seconds"]
    return float(entry["time"] - seconds["write"] - seconds["predict"])


def _job(setting: Setting) -> dict[str, object]:
    precision = "int8" if setting.int8 else setting.precision
    trust = {} if setting.trained else {"min_agreement": 0.0}
    return {
        "task": "text-classification",
        "model": {"path": setting.model, "precision": precision, **trust},
        "source": {"path": setting.shards, "columns": {"text": "text"}, "keep": ["id"]},
        "options": {"max_length": setting.max_length},
        "output": {"path": setting.output},
        "resources": {"runner": setting.runner, "gpus_per_replica": 0},
    }
