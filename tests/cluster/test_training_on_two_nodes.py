"""A training on a cluster of two nodes, one of which dies on the way."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.cluster import cluster
from tests.support.killed_training import KilledTraining
from tests.support.training import losses_of, state_of

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(900)]

ENTRY_POINT = Path(__file__).parents[2] / "jobs" / "train.py"


def accuracies(history):
    return [one["eval_accuracy"] for one in history if "eval_loss" in one]


def test_node_killed_while_training_and_another_one_joins(tmp_path):
    """Two workers, one on each node, go on from the last checkpoint once there is room again."""
    place = KilledTraining(tmp_path)
    sent = tmp_path / "sent"
    (sent / "jobs").mkdir(parents=True)
    shutil.copy(ENTRY_POINT, sent / "jobs")
    shutil.copy(place.job, sent / "job.yaml")
    with cluster() as head:
        node = head.join()
        submission = head.submit(
            "--working-dir", str(sent), "--", "python", "jobs/train.py", "job.yaml"
        )
        submission.until(lambda: place.kept() >= 1, "the first checkpoint")
        spread = [len(one.named("RayTrainWorker")) for one in (head.head, node)]
        node.kill()
        before = place.kept()
        head.join()
        submission.until(lambda: place.kept() > before, "a checkpoint after the death")
        code = submission.wait()
    assert code == 0, submission.told()
    assert spread == [1, 1]
    told = json.loads((place.place / "training_results.json").read_text())
    assert before < told["steps"]
    assert accuracies(told["history"]) == accuracies(state_of(place.reference)["log_history"])
    losses = [entry["loss"] for entry in told["history"] if "loss" in entry]
    np.testing.assert_allclose(losses, losses_of(place.reference), rtol=1e-3)
