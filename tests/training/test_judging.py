"""Rows that are kept back are judged by the metrics of their last evaluation, with intervals."""

import pytest

from labelmill.training.judging import judge
from labelmill.training.loop import train
from tests.support.models import save_tiny
from tests.support.training import Desk, evaluated, job_of, ready, reviews, write_rows

ROWS = 90
TRAINING = {"num_train_epochs": 1, "learning_rate": 3e-3, "per_device_train_batch_size": 8}
SHARED = {  # metrics of an evaluation -> what `evaluate` calls them
    "text-classification": {
        "sets": {"f1_micro": "f1_micro", "f1_macro": "f1_macro", "exact": "subset_accuracy"},
        "numbers": {"spearman": "spearman", "pearson": "pearson", "rmse": "rmse"},
        "classes": {"accuracy": "accuracy", "f1_macro": "f1_macro"},
    },
    "token-classification": {
        "tags": {name: name for name in ("entity_f1", "entity_precision", "entity_recall")},
    },
}


def rows_of(kind):
    """What is learned of the reviews, in another form."""
    found = reviews(ROWS)
    labels = found.pop("label")
    if kind == "classes":
        return found | {"label": labels}
    if kind == "sets":
        return found | {"label": [[one, "short"][: 1 + row % 2] for row, one in enumerate(labels)]}
    if kind == "numbers":
        scale = {"bad": 0.5, "good": 2.5, "middling": 1.5}
        return found | {"label": [scale[one] for one in labels]}
    words = [text.split() for text in found["text"]]
    tags = [["B-A" if len(word) > 4 else "B-B" if word[0] == "p" else "O" for word in row]
            for row in words]  # fmt: skip
    return {"words": words, "tags": tags}


@pytest.mark.parametrize(
    ("task", "kind"), [(task, kind) for task, kinds in SHARED.items() for kind in kinds]
)
def test_judged_is_what_was_measured_and_lies_in_its_interval(tmp_path, task, kind):
    start = save_tiny(tmp_path / "start", "bert", "AutoModelForMaskedLM")
    data = {"train": write_rows(tmp_path / "rows.parquet", rows_of(kind))}
    job = job_of(tmp_path, task, start, data | {"validation_fraction": 0.4}, training=TRAINING)
    made, desk = ready(job), Desk(tmp_path)
    assert train(made.recipe, desk)
    last = evaluated(desk)[-1]
    judged = judge(desk.resume(), made.recipe)
    for ours, theirs in SHARED[task][kind].items():
        found = judged["metrics"][theirs]
        low, high = found["interval"]
        assert found["value"] == pytest.approx(last[f"eval_{ours}"], abs=1e-6), ours
        assert low <= found["value"] <= high
    assert {table for table in judged["tables"] if table in {"classes", "confusion"}} == (
        {"numbers": set(), "classes": {"classes", "confusion"}}.get(kind, {"classes"})
    )
