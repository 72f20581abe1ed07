"""The same data, seed and settings in transformers' own Trainer learn the same step by step."""

import numpy as np
import pytest
import transformers
from seqeval.metrics import f1_score
from transformers import DataCollatorForTokenClassification, DataCollatorWithPadding, Trainer

from labelmill.training.loop import train
from tests.support.models import save_tiny
from tests.support.training import (
    STILL,
    Desk,
    evaluated,
    job_of,
    losses_of,
    ready,
    reviews,
    write_rows,
)

pytestmark = pytest.mark.slow

# One order for both: ours depends on other numbers than transformers' does. Without accumulation,
# which multiplies the loss there, where a model does not divide by the items of a step itself.
SETTINGS = {
    "learning_rate": 2e-3,
    "num_train_epochs": 3,
    "per_device_train_batch_size": 8,
    "max_grad_norm": 0.5,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.1,
    "weight_decay": 0.1,
    "train_sampling_strategy": "sequential",
    "seed": 7,
}
CLASSIFIER = "AutoModelForSequenceClassification"
TAGGER = "AutoModelForTokenClassification"


def test_the_plain_trainer_learns_the_same_classifier(tmp_path):
    start = save_tiny(tmp_path / "start", "bert", CLASSIFIER, num_labels=3, **STILL)
    learned, held = (noisy(reviews(720), rows) for rows in (range(240), range(240, 720)))
    ours, scores = _ours(tmp_path, "text-classification", start, learned, held)
    tokenizer = transformers.AutoTokenizer.from_pretrained(start)
    names = sorted(set(learned["label"]))

    def examples(found):
        labels = [names.index(label) for label in found["label"]]
        return _examples(tokenizer(found["text"], truncation=True), labels)

    model = transformers.AutoModelForSequenceClassification.from_pretrained(start)
    collator = DataCollatorWithPadding(tokenizer)
    theirs, given = _plain(tmp_path, model, collator, examples(learned), examples(held))
    accuracy = float(np.mean(given.predictions.argmax(axis=-1) == given.label_ids))
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert 0.5 < accuracy < 0.95  # neither has learned nothing, nor all
    assert scores["eval_accuracy"] == pytest.approx(accuracy, abs=0.005)
    assert scores["eval_loss"] == pytest.approx(given.metrics["test_loss"], rel=1e-4)


def test_the_plain_trainer_learns_the_same_tagger(tmp_path):
    start = save_tiny(tmp_path / "start", "bert", TAGGER, num_labels=3, **STILL)
    learned, held = (tagged(noisy(reviews(360), rows)) for rows in (range(240), range(240, 360)))
    ours, scores = _ours(tmp_path, "token-classification", start, learned, held)
    tokenizer = transformers.AutoTokenizer.from_pretrained(start)
    names = ["O", "B-bad", "B-good"]

    def examples(found):
        inputs = tokenizer(found["words"], is_split_into_words=True, truncation=True)
        return _examples(inputs, [_firsts(inputs.word_ids(row), tags) for row, tags in enumerate(
            [[names.index(tag) for tag in tags] for tags in found["tags"]])])  # fmt: skip

    model = transformers.AutoModelForTokenClassification.from_pretrained(start)
    collator = DataCollatorForTokenClassification(tokenizer)
    theirs, given = _plain(tmp_path, model, collator, examples(learned), examples(held))
    f1 = f1_score(*_tags(names, given.label_ids, given.predictions.argmax(axis=-1)))
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert 0.5 < f1 < 0.95
    assert scores["eval_entity_f1"] == pytest.approx(f1, abs=0.005)


def noisy(rows, kept):
    """Of these rows, every fifth with the label of the row before: nobody gets all right."""
    labels = rows["label"]
    told = [labels[row - 1] if row % 5 == 3 else labels[row] for row in kept]
    return {"text": [rows["text"][row] for row in kept], "label": told}


def tagged(rows):
    """The words of texts; where one tells of bad or good, it bears the row's label."""
    tags = {"bad": "B-bad", "good": "B-good", "middling": "O"}
    telling = {"terrible", "great"}
    words = [text.split() for text in rows["text"]]
    return {
        "words": words,
        "tags": [
            [tags[label] if word in telling else "O" for word in found]
            for found, label in zip(words, rows["label"], strict=True)
        ],
    }


def _ours(folder, task, start, learned, held):
    """The loss of each step, and what was measured after the last."""
    data = {
        "train": write_rows(folder / "rows.parquet", learned),
        "validation": write_rows(folder / "held.parquet", held),
    }
    desk = Desk(folder)
    train(ready(job_of(folder, task, start, data, training=SETTINGS)).recipe, desk)
    return losses_of(desk), evaluated(desk)[-1]


def _plain(folder, model, collator, learned, held):
    trainer = Trainer(
        model,
        transformers.TrainingArguments(
            folder / "plain", use_cpu=True, report_to="none", save_strategy="no", logging_steps=1,
            **SETTINGS,
        ),
        data_collator=collator,
        train_dataset=learned,
    )  # fmt: skip
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return losses, trainer.predict(held)


def _examples(inputs, labels):
    return [
        {name: values[row] for name, values in inputs.items()} | {"labels": label}
        for row, label in enumerate(labels)
    ]


def _firsts(words, tags):
    """The tag of each word at its first token, and nothing to learn elsewhere."""
    before = [None, *words[:-1]]
    return [
        tags[word] if word is not None and word != last else -100
        for word, last in zip(words, before, strict=True)
    ]


def _tags(names, gold, given):
    """Both, word by word, by name."""
    learned = gold != -100
    return [
        [[names[tag] for tag in row[kept]] for row, kept in zip(tags, learned, strict=True)]
        for tags in (gold, given)
    ]
