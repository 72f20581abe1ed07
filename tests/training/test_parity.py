"""The same data, seed and settings through transformers' own Trainer come to the same metric."""

import numpy as np
import pytest
import torch
import transformers
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

from labelmill.training.loop import train
from tests.support.models import save_tiny
from tests.support.training import STILL, Desk, job_of, ready, reviews, state_of, write_rows

pytestmark = pytest.mark.slow

SETTINGS = {
    "learning_rate": 2e-3,
    "num_train_epochs": 3,
    "per_device_train_batch_size": 8,
    "warmup_steps": 0.06,
    "weight_decay": 0.01,
    "seed": 7,
}


def test_the_plain_trainer_comes_to_the_same_accuracy(tmp_path):
    """Within half a point on 400 rows that neither has seen."""
    start = save_tiny(tmp_path / "start", "bert", "AutoModelForMaskedLM")
    rows, held = reviews(240), reviews(640)
    held = {name: values[240:] for name, values in held.items()}
    data = {
        "train": write_rows(tmp_path / "rows.parquet", rows),
        "validation": write_rows(tmp_path / "held.parquet", held),
    }
    job = job_of(
        tmp_path, "text-classification", start, data, model={"config": STILL}, training=SETTINGS
    )
    desk = Desk(tmp_path)
    train(ready(job).recipe, desk)
    ours = [one for one in state_of(desk)["log_history"] if "eval_accuracy" in one][-1]
    assert ours["eval_accuracy"] == pytest.approx(_plain(start, rows, held, tmp_path), abs=0.005)


def _plain(start, rows, held, folder):
    names = sorted(set(rows["label"]))
    tokenizer = transformers.AutoTokenizer.from_pretrained(start)
    torch.manual_seed(SETTINGS["seed"])
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        start, num_labels=len(names), **STILL
    )

    def examples(found):
        inputs = tokenizer(found["text"], truncation=True)
        return [
            {name: values[row] for name, values in inputs.items()} | {"labels": names.index(label)}
            for row, label in enumerate(found["label"])
        ]

    trainer = Trainer(
        model,
        TrainingArguments(
            folder / "plain", use_cpu=True, report_to="none", save_strategy="no", **SETTINGS
        ),
        data_collator=DataCollatorWithPadding(tokenizer),
        train_dataset=examples(rows),
    )
    trainer.train()
    given = trainer.predict(examples(held))
    return float(np.mean(given.predictions.argmax(axis=-1) == given.label_ids))
