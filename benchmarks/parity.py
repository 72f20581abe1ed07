"""Training by labelmill and by transformers' own Trainer, from the same files, seed and settings.

Each trains on one thread, or on the GPU where there is one, one after the other; both models are
given the test rows of the set. The orders of rows and the random numbers of dropout differ, so the
two are two draws of one recipe. For sets of text classification.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.accuracy.commands import JOBS, encoder, measure
from benchmarks.accuracy.sets import SETS

Rows = dict[str, list[str]]
_KNOWN = ("ag_news", "banking77", "clinc150", "sst2")
_FILES = ("train", "test")


def main() -> None:
    """Train twice, and print what came of it."""
    wish = _wish()
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    settings = [f"training.seed={wish.seed}", "training.bf16=false"]
    ours = measure(wish.only, SETS[wish.only], wish.data.absolute(), wish.work / "ours", settings)
    value = _plain(wish.work / "ours", wish.only, wish.seed)
    table = Table(title=f"{wish.only}, seed {wish.seed}, {ours.rows:,} test rows")
    for name in ("by", "accuracy"):
        table.add_column(name, justify="left" if name == "by" else "right")
    table.add_row("labelmill", f"{ours.value:.4f}")
    table.add_row("transformers", f"{value:.4f}")
    Console(width=100).print(table)


def _wish() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory with all data sets")
    parser.add_argument("--only", choices=_KNOWN, default="clinc150", help="the set")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, help="directory for files and models; a new one")
    wish = parser.parse_args()
    wish.work = (wish.work or Path(tempfile.mkdtemp(prefix="parity-"))).absolute()
    return wish


def _plain(prepared: Path, name: str, seed: int) -> float:
    """The accuracy of what transformers' Trainer makes of the set's files."""
    import torch
    import transformers

    torch.set_num_threads(1)
    job = yaml.safe_load((JOBS / name / "train.yaml").read_text("utf-8"))
    learned, test = (pq.read_table(prepared / f"{one}.parquet").to_pydict() for one in _FILES)
    names = sorted(set(learned["label"]))
    transformers.set_seed(seed)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        encoder(), num_labels=len(names)
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder())
    limit = job["options"]["max_length"]
    held: Any = _examples(tokenizer, test, names, limit)
    trainer = transformers.Trainer(
        model,
        transformers.TrainingArguments(str(prepared.parent / "plain"), **_arguments(job, seed)),
        data_collator=transformers.DataCollatorWithPadding(tokenizer),
        train_dataset=_examples(tokenizer, learned, names, limit),
    )
    trainer.train()
    given: Any = trainer.predict(held)
    return float((given.predictions.argmax(-1) == given.label_ids).mean())


def _arguments(job: dict[str, Any], seed: int) -> dict[str, Any]:
    """What the job says, and the defaults that docs/config.md tells of a training."""
    import torch

    from labelmill.config.training_arguments import DEFAULTS

    told = {**DEFAULTS, **job["training"], "seed": seed, "use_cpu": not torch.cuda.is_available()}
    quiet = {"report_to": "none", "eval_strategy": "no", "save_strategy": "no"}
    return told | quiet


def _examples(tokenizer: Any, rows: Rows, names: Sequence[str], limit: int) -> list[dict[str, Any]]:
    inputs = tokenizer(rows["text"], truncation=True, max_length=limit)
    return [
        {name: values[row] for name, values in inputs.items()} | {"labels": names.index(label)}
        for row, label in enumerate(rows["label"])
    ]


if __name__ == "__main__":
    main()
