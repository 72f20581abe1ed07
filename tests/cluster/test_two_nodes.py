"""Jobs on a cluster of two nodes: submitted, and what dies on the way: a node, the driver."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
import yaml

from labelmill import verification
from labelmill.ledger.status import read_status
from tests.support.cluster import Cluster, Node, Submission, cluster, until
from tests.support.corpus import contents, parts
from tests.support.gated_model import gated_classifier

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(900)]

ENTRY_POINT = Path(__file__).parents[2] / "jobs" / "label.py"
SHARDS, ROWS, SPLIT_ROWS = 4, 30, 5
SPLITS = SHARDS * ROWS // SPLIT_ROWS
SOME = 8  # of the splits; each is one microbatch


class Workplace:
    """A source, a gated model, and a working directory as a user sends it to a cluster."""

    def __init__(self, directory: Path) -> None:
        self.output = directory / "out"
        self.sent = directory / "sent"
        (self.sent / "jobs").mkdir(parents=True)
        shutil.copy(ENTRY_POINT, self.sent / "jobs")
        _write_shards(directory / "in")
        model, self.gate = gated_classifier(directory / "model", directory / "gate")
        job = {
            "task": "text-classification",
            "model": {"path": model, "precision": "float32", "trust_remote_code": True},
            "source": {"path": str(directory / "in"), "split_rows": SPLIT_ROWS},
            "output": {"path": str(self.output)},
        }
        (self.sent / "job.yaml").write_text(yaml.safe_dump(job), encoding="utf-8")

    def submit(self, on: Cluster, *overrides: str, token: str | None = None) -> Submission:
        """The command that cluster/README.md tells."""
        command = ["--working-dir", str(self.sent), "--", "python", "jobs/label.py", "job.yaml"]
        return on.submit(*command, *overrides, token=token)

    def at_work(self, node: Node) -> bool:
        """Whether a replica there is in a forward pass, and stays in it until the gate opens."""
        return not self.gate.waiting().isdisjoint(node.replicas())

    def parts(self) -> dict[str, bytes]:
        return contents(parts(self.output))

    def assert_whole(self, attempts: int) -> None:
        status = read_status(str(self.output))
        assert (status.complete, status.attempts) == (True, attempts)
        assert status.rows_labelled == SHARDS * ROWS
        assert verification.verify(str(self.output), source=True).ok
        table = pyarrow.dataset.dataset(self.output, format="parquet").to_table(["id"])
        assert len(self.parts()) == SPLITS
        assert sorted(table["id"].to_pylist()) == list(range(SHARDS * ROWS))


@pytest.fixture(scope="module")
def head() -> Iterator[Cluster]:
    with cluster() as started:
        yield started


@pytest.fixture
def node(head: Cluster) -> Iterator[Node]:
    """The second node; another one for every test that may kill it."""
    joined = head.join()
    yield joined
    joined.kill()


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


def test_submitted_job_labels_on_both_nodes_and_ends_whole(
    head: Cluster, node: Node, workplace: Workplace
) -> None:
    submission = workplace.submit(head, "--set", "output.position=true")
    submission.until(lambda: workplace.at_work(head.head), "the head predicts")
    submission.until(lambda: workplace.at_work(node), "the second node predicts")
    spread = (len(head.head.replicas()), len(node.replicas()))
    workplace.gate.open()

    assert submission.wait() == 0, submission.told()
    assert spread == (1, 1)
    assert _asked(head)
    workplace.assert_whole(attempts=1)
    assert "position" in pyarrow.dataset.dataset(workplace.output, format="parquet").schema.names


@pytest.mark.parametrize("token", ["", "0" * 64], ids=["none", "wrong"])
def test_submission_without_the_token_is_refused(
    head: Cluster, workplace: Workplace, token: str
) -> None:
    submission = workplace.submit(head, token=token)

    assert submission.wait() != 0
    assert "AuthenticationError" in submission.told()
    assert not workplace.output.exists()


def test_node_killed_at_work_costs_nothing_and_the_job_ends_whole(
    head: Cluster, node: Node, workplace: Workplace
) -> None:
    workplace.gate.let(SOME)
    submission = workplace.submit(head)
    submission.until(workplace.parts, "the first part is there")
    submission.until(lambda: workplace.gate.passed() >= SOME, "the gate shuts")
    submission.until(lambda: workplace.at_work(node), "the node predicts")
    node.kill()
    workplace.gate.open()

    assert submission.wait() == 0, submission.told()
    workplace.assert_whole(attempts=1)


def test_driver_killed_takes_its_replicas_along_and_a_second_submission_resumes(
    head: Cluster, node: Node, workplace: Workplace
) -> None:
    workplace.gate.let(SOME)
    first = workplace.submit(head)
    first.until(workplace.parts, "the first part is there")
    first.until(lambda: workplace.at_work(node), "the node predicts")
    (driver,) = head.drivers()
    os.kill(driver, signal.SIGKILL)
    assert first.wait() != 0
    until(lambda: not head.head.replicas() | node.replicas(), "the replicas are gone")
    before = parts(workplace.output)
    workplace.gate.open()

    second = workplace.submit(head)

    assert second.wait() == 0, second.told()
    assert 0 < len(before) < SPLITS
    after = parts(workplace.output)
    assert {name: after[name] for name in before} == before
    workplace.assert_whole(attempts=2)


def _write_shards(directory: Path) -> None:
    directory.mkdir()
    for shard in range(SHARDS):
        ids = list(range(shard * ROWS, (shard + 1) * ROWS))
        table = pa.table({"id": ids, "text": [f"the quick brown fox {each}" for each in ids]})
        pq.write_table(table, directory / f"{shard}.parquet")


def _asked(head: Cluster) -> bool:
    """Whether some node was asked what a replica there would choose."""
    answer = head.ask("/api/v0/tasks?filter_keys=name&filter_predicates=%3D&filter_values=_ask")
    return any(task["state"] == "FINISHED" for task in answer["data"]["result"]["result"])
