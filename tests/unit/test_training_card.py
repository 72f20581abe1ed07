"""What the card of a trained model says of its labels, and of its precision."""

import pytest
import yaml

from labelmill.reports.training_card import card, command
from labelmill.training.results import computed_in

TOLD = {
    "task": "token-classification", "model": "start", "path": "model", "columns": {}, "options": {},
    "epochs": 1.0, "steps": 2, "best_step": 2, "workers": 1, "device": "cpu",
    "precision": "float32", "finished": "today", "fingerprint": "f", "model_digest": "d",
    "labelmill": "1", "transformers": "5", "torch": "2", "metrics": {}, "metric": "loss",
    "judged": None, "settings": {}, "history": [],
}  # fmt: skip


def carded(counts: dict[str, int]) -> str:
    data = {"train": 9, "validation": 1, "rejected": 0, "counts": counts, "digests": {}}
    return card(TOLD | {"data": data})


@pytest.mark.parametrize("counts", [{"B-PER": 8, "B-LOC": 2}, {"B-PER": 8, "B-LOC": 2, "B-ORG": 0}])
def test_commonest_label_is_compared_with_the_rarest_that_is_there(counts):
    said = carded(counts)
    assert "occurs 4.0 times as often as the rarest that is there" in said
    assert "| B-PER | 8 |" in said


@pytest.mark.parametrize(("settings", "said"), [({}, False), ({"data.format": "tsv"}, True)])
def test_command_names_the_format_that_the_training_had_to_name(settings, said):
    told = TOLD | {"settings": settings, "columns": {"text": "body"}}
    source = yaml.safe_load(command(told).partition("'END'\n")[2].rpartition("END\n")[0])["source"]
    assert source == {"path": "corpus/", "columns": {"text": "body"}} | (
        {"format": "tsv"} if said else {}
    )


def test_one_label_is_compared_with_none():
    said = carded({"B-PER": 8})
    assert "| B-PER | 8 |" in said
    assert "as often as" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"bf16": False}, "float32"),
        ({"bf16": True}, "bfloat16"),
        ({"bf16": False, "fp16": True}, "float16"),
        ({"bf16": False, "fp16": False}, "float32"),
    ],
)
def test_precision_is_what_was_computed_in(arguments, said):
    assert computed_in(arguments) == said


def test_label_in_angle_brackets_is_no_html():
    assert r"| \<unk> | 3 |" in carded({"<unk>": 3, "b": 1})
