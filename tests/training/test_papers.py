"""What lies with a trained model for people: its card, its page, TensorBoard's files.

The command that the card prints is run as it stands there.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from labelmill.reports import training_card
from labelmill.training import finetune
from labelmill.training.loop import train
from labelmill.training.plan import make_plan
from labelmill.training.ray_group import Group, Kept
from tests.support import inline
from tests.support.models import save_tiny
from tests.support.training import Desk, job_of, reviews, write_rows

ROWS = 60
METRICS = ("accuracy", "f1_macro")


def _papers(folder: Path, task: str, start: str, data: dict, **rest) -> tuple[Path, list[str]]:
    """The result's directory, and all that is said at the start."""
    job = job_of(folder, task, start, data, **rest)
    plan = make_plan(job, lambda: Group(workers=1, gpus=0.0, cpus=1, max_failures=0))
    said: list[str] = []
    ready = finetune.prepare(plan, said.append)
    said.append(finetune._beginning(plan, ready))
    desk = Desk(folder)
    assert train(ready.recipe, desk)
    last = desk.resume()
    assert last is not None
    finetune._exported(plan, ready, Kept(best=last, last=last), training_card.papers)
    return Path(plan.result), said


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trained classifier: the text in a column `body`, options that are no defaults."""
    folder = tmp_path_factory.mktemp("classes")
    start = save_tiny(folder / "start", "bert", "AutoModelForMaskedLM")
    rows = reviews(ROWS)
    path = write_rows(folder / "rows.parquet", {"body": rows["text"], "stars": rows["label"]})
    data = {"train": path, "validation_fraction": 0.3}
    data["columns"] = {"text": "body", "label": "stars"}
    training = {"max_steps": 12, "learning_rate": 3e-3, "report_to": ["tensorboard"]}
    steps = {f"{one}_strategy": "steps" for one in ("eval", "save")} | {"eval_steps": 6}
    place, said = _papers(
        folder, "text-classification", start, data, options={"max_length": 32},
        training={**training, **steps, "save_steps": 6},
    )  # fmt: skip
    assert place == folder / "model"
    assert re.search(r", 3 labels, from '\w+' \d+ times to '\w+' \d+ times; ", said[-1])
    return folder


@pytest.fixture(scope="module")
def told(folder):
    return json.loads((folder / "model" / "training_results.json").read_text())


@pytest.fixture(scope="module")
def card(folder):
    return (folder / "model" / "README.md").read_text("utf-8")


@pytest.fixture(scope="module")
def page(folder):
    return (folder / "model" / "training.html").read_text("utf-8")


def test_card_says_what_the_model_is(card, told, folder):
    front = yaml.safe_load(card.split("---")[1])
    assert front["pipeline_tag"] == "text-classification"
    assert front["base_model"] == str(folder / "start")
    assert f"| learned from | {told['data']['train']} examples," in card
    for identity in (told["fingerprint"], told["model_digest"], *told["data"]["digests"].values()):
        assert len(identity) == 64
        assert identity in card
    for label, count in told["data"]["counts"].items():
        assert f"| {label} | {count} |" in card
    assert "| training.max_steps | 12 |" in card


def test_metrics_on_card_and_page_have_intervals_that_hold_them(card, page, told):
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) \| ([\d.]+) to ([\d.]+) \|$", card, re.MULTILINE)
    measured = {name: [float(one) for one in rest] for name, *rest in rows}
    assert "accuracy" in measured
    for name, (value, low, high) in measured.items():
        assert low <= value <= high, name
        assert f"<td>{name}</td><td>{value:.4f}</td><td>{low:.4f} to {high:.4f}</td>" in page
    assert measured["accuracy"][0] == pytest.approx(told["metrics"]["accuracy"], abs=5e-5)


def test_page_has_curves_and_the_confusion_matrix(page, told):
    captions = re.findall(r"<figcaption>(.*?)</figcaption>\s*<svg", page)
    assert captions == ["Loss", "Learning rate", "accuracy", "Confusion matrix"]
    assert page.count("</svg>") == len(captions)
    curves, matrix = page.split("Confusion matrix")[0], page.split("Confusion matrix")[1]
    assert {"learned from", "kept back", "step"} <= set(re.findall(r"<text[^>]*>([^<]+)<", curves))
    drawn = re.findall(r"<text[^>]*>([^<]+)<", matrix)
    assert {"bad", "good", "middling"} <= set(drawn)
    counts = told["judged"]["tables"]["confusion"]
    names = counts["columns"][1:]
    cells = [f"{row[name]:.0f}" for row in counts["rows"] for name in names]
    assert sum(map(int, cells)) == told["data"]["validation"]
    assert [text for text in drawn if text.isdigit()][-len(cells) :] == cells


def test_page_has_identity_and_command_and_needs_no_other_file(page, told):
    for identity in (told["fingerprint"], told["model_digest"], *told["data"]["digests"].values()):
        assert identity in page
    assert "labelmill label label.yaml</pre>" in page
    assert "times as often as the rarest that is there" in page
    assert not re.search(r"<(script|link)\b|\bsrc=|href=\"http", page)


def test_command_on_the_card_labels(card, folder, tmp_path, monkeypatch):
    """Its first line by a shell as it stands, the job file that it wrote in this process."""
    (command,) = re.findall(r"```sh\n(.*?)\n```", card, re.DOTALL)
    *written, run = command.splitlines()
    assert run == "labelmill label label.yaml"
    monkeypatch.chdir(tmp_path)
    subprocess.run(["sh", "-c", "\n".join(written)], check=True)
    settings = yaml.safe_load(Path("label.yaml").read_text())
    assert settings["options"] == {"max_length": 32}
    Path("corpus").mkdir()
    write_rows(Path("corpus/rows.parquet"), {"body": reviews(10)["text"]})
    status = inline.label_file(Path("label.yaml"))
    assert (status.complete, status.rows_labelled) == (True, 10)


def test_tensorboard_has_the_course(folder, told):
    """Read with TensorBoard's own reader: the losses, rates and metrics of the history."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    seen = EventAccumulator(str(folder / "model.training" / "tensorboard"))
    seen.Reload()
    wanted = {"train/loss": "loss", "train/learning_rate": "learning_rate"}
    wanted |= {f"eval/{name}": f"eval_{name}" for name in ("loss", *METRICS)}
    for tag, name in wanted.items():
        points = {one.step: one.value for one in seen.Scalars(tag)}
        history = {one["step"]: one[name] for one in told["history"] if name in one}
        assert points == pytest.approx(history, rel=1e-5), tag
        assert len(points) == (12 if tag.startswith("train") else 2)


def test_question_answering_speaks_of_no_labels(tmp_path):
    """Start and end of an answer are numbers of a token, not labels that a row has."""
    start = save_tiny(tmp_path / "start", "bert", "AutoModelForMaskedLM")
    texts = reviews(ROWS)["text"]
    answers = [{"text": [text.split()[0]], "answer_start": [0]} for text in texts]
    rows = {"question": ["which word?"] * ROWS, "context": texts, "answers": answers}
    place, said = _papers(
        tmp_path, "question-answering", start,
        {"train": write_rows(tmp_path / "rows.parquet", rows)},
        training={"max_steps": 2, "save_strategy": "steps", "eval_strategy": "steps",
                  "save_steps": 2, "eval_steps": 2},
    )  # fmt: skip
    assert said[-1].startswith("starting ")
    for text in (
        said[-1],
        (place / "README.md").read_text(),
        (place / "training.html").read_text(),
    ):
        assert "2 labels" not in text
        assert "Labels learned from" not in text
