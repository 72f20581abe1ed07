"""Real trainings on a real Ray: a worker is killed, then everything; what comes out is the same."""

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.killed_training import SOON, KilledTraining
from tests.support.models import save_tiny
from tests.support.process import command
from tests.support.training import job_of, losses_of, reviews, state_of, weights_of, write_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_killed_as_a_whole_and_gone_on_with_it_comes_to_the_same_metrics(tmp_path):
    place = KilledTraining(tmp_path, workers=1, epochs=6)
    with command("train", str(place.job)) as running:
        place.wait_for(running, 1)
        running.kill()
    before = place.kept()
    ended = place.run("--json")
    assert ended.code == 0, ended.err
    history = state_of(place.reference)["log_history"]
    assert 0 < before < history[-1]["step"]
    assert "going on with" in ended.err
    for name in ("loss", "eval_loss", "eval_accuracy"):
        found, expected = (
            [one[name] for one in told if name in one] for told in (ended.told["history"], history)
        )
        np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.faults
def test_killed_and_gone_on_with_it_is_the_same_training(tmp_path):
    place = KilledTraining(tmp_path)
    place.kill_a_worker_and_then_all()
    before = place.kept()
    assert not place.place.exists()
    with command("train", str(place.job)) as running:
        place.wait_for(running, before + 1)
        running.signal(signal.SIGTERM)
        stopped = running.end(SOON)
    assert stopped.code == 3
    assert "run the same command again" in stopped.err
    ended = place.run("--json")
    assert ended.code == 0, ended.err
    told = ended.told
    losses = [entry["loss"] for entry in told["history"] if "loss" in entry]
    np.testing.assert_allclose(losses, losses_of(place.reference), rtol=1e-3)
    expected = weights_of(place.reference.resume())
    kept = place.place.parent.glob("model.training/checkpoints/*/model.safetensors")
    for name, value in weights_of(max(kept).parent).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-2, atol=1e-4)
    assert [path.name for path in place.place.parent.glob("model.training/examples/*")] == [
        "rejects.jsonl"
    ]
    _refuses_another_job(place)
    again = place.run("--json")
    assert (again.code, again.told) == (0, told)
    assert "nothing to do" in again.err


def _refuses_another_job(place):
    changed = place.run("--dry-run", "--set", "training.learning_rate=0.5")
    assert changed.code == 2
    assert "training.learning_rate: the run has 0.2, this job 0.5" in changed.err


@pytest.mark.faults
def test_killed_and_gone_on_with_behind_a_url_is_the_same_training(tmp_path, s3_bucket):
    """Two workers whose rows, checkpoints, curves and result are on an object store alone."""
    place = KilledTraining(tmp_path, f"{s3_bucket.url}/models/trained")
    place.kill_a_worker_and_then_all()
    written = s3_bucket.keys()
    assert all(key.startswith("models/trained.training/") for key in written)
    ended = place.run("--json")
    assert ended.code == 0, ended.err
    assert "going on with" in ended.err
    losses = [entry["loss"] for entry in ended.told["history"] if "loss" in entry]
    np.testing.assert_allclose(losses, losses_of(place.reference), rtol=1e-3)
    best = tmp_path / "best.safetensors"
    best.write_bytes(s3_bucket.read("models/trained/model.safetensors"))
    assert load_file(best).keys() == weights_of(place.reference.resume()).keys()
    written = s3_bucket.keys()
    keys = [key.removeprefix("models/trained.training/") for key in written]
    assert any(key.startswith("tensorboard/events.out.tfevents") for key in keys)
    assert [key for key in keys if key.startswith("examples/")] == ["examples/rejects.jsonl"]
    assert any(key.endswith("/model.safetensors") for key in keys if key.startswith("check"))
    assert not list(tmp_path.glob("trained/*.training"))
    _refuses_another_job(place)
    again = place.run("--json")
    assert (again.code, again.told) == (0, ended.told)
    assert "nothing to do" in again.err


@pytest.mark.faults
def test_what_is_wrong_on_a_worker_is_told_in_a_line(tmp_path):
    """A checkpoint that lacks more than a head is found out where it is loaded."""
    start = save_tiny(tmp_path / "start", "bert", "AutoModelForMaskedLM")
    weights = load_file(Path(start) / "model.safetensors")
    weights.pop("bert.encoder.layer.0.attention.self.query.weight")
    save_file(weights, Path(start) / "model.safetensors", metadata={"format": "pt"})
    path = write_rows(tmp_path / "rows.parquet", reviews(60))
    resources = {"workers": 1, "gpus_per_worker": 0, "cpus_per_worker": 1}
    job_of(tmp_path, "text-classification", start, {"train": path}, resources=resources)
    with command("train", str(tmp_path / "job.yaml")) as running:
        ended = running.end(SOON)
    assert ended.code == 2
    assert (
        ended.err.strip()
        .splitlines()[-1]
        .startswith(
            f"labelmill: model {start!r} has no weights for "
            "'bert.encoder.layer.0.attention.self.query.weight'"
        )
    )
    assert "Traceback" not in ended.err
