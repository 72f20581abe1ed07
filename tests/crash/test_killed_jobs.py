"""Real jobs, on Ray and without, whose processes are killed or told to stop: all, or one alone.

The model stands behind a gate, so that parts are committed, one split is in prediction and others
are to come for certain, however fast the machine is.
"""

import signal
from pathlib import Path

import psutil
import pytest

from tests.support import corpus, family, inline, process
from tests.support.corpus import Part, parts, require_readable, require_whole
from tests.support.gated_model import Gate, gated_classifier
from tests.support.killing import Death
from tests.support.process import Command

pytestmark = pytest.mark.slow

_LET = 4  # splits, each of one microbatch: one shard and a split of the next
_COMMITTED = 3  # parts that are there by then: a shard's splits leave the replica in one block
_SOON = 60.0  # seconds; a loaded machine takes its time, a job that hangs takes for ever
_TRUST = {"trust_remote_code": True}
_REPLICA = {"ray": "_Predict", "local": "replica_process"}  # in its command line


class Workplace:
    """A run in the making, its gate, and what would become of it uninterrupted."""

    def __init__(self, directory: Path, gate: Gate, whole: dict[str, bytes], runner: str) -> None:
        self.directory = directory
        self.runner = runner
        self.job = directory / "job.yaml"
        self.out = directory / "out"
        self.claims = directory / "claims"
        self.claims.mkdir()
        self.gate = gate
        self.whole = whole

    def death(self, number: int, *, everyone: bool) -> dict[str, str]:
        """Strikes who writes when the n-th part is there, and not its receipt."""
        death = Death(
            kind="part",
            moment="linked",
            number=number,
            claims=str(self.claims),
            everyone=everyone,
        )
        return death.on_ray() if self.runner == "ray" else death.everywhere(self.directory)

    def replica(self, running: Command) -> psutil.Process:
        """The only one."""
        (found,) = running.named(_REPLICA[self.runner])
        return found

    def parts(self) -> dict[str, Part]:
        return parts(self.out)

    def wait_at_gate(self, running: Command) -> None:
        """Until parts are committed and the replica stands at the gate with the next split."""
        running.wait_until(lambda: len(self.parts()) >= _COMMITTED and bool(self.gate.waiting()))

    def require_resumes(self, before: dict[str, Part]) -> None:
        """What is left is labelled without Ray, which starts sooner."""
        require_readable(self.out, self.whole)
        self.gate.open()
        inline.label_file(self.job)
        require_whole(self.out, self.whole, before)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Gate]:
    directory = tmp_path_factory.mktemp("gated")
    return gated_classifier(directory / "model", directory / "gate")


@pytest.fixture(scope="module")
def whole(
    model: tuple[str, Gate], source: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """The parts of a run that nothing interrupted."""
    path, gate = model
    gate.open()
    return corpus.uninterrupted(tmp_path_factory.mktemp("whole"), source, path, model=_TRUST)


@pytest.fixture(params=_REPLICA)
def work(
    tmp_path: Path,
    source: Path,
    model: tuple[str, Gate],
    whole: dict[str, bytes],
    request: pytest.FixtureRequest,
) -> Workplace:
    """On either runner."""
    runner: str = request.param
    path, gate = model
    for mark in [*gate.directory.glob("passed/*"), *gate.directory.glob("waiting/*")]:
        mark.unlink()
    gate.let(_LET)
    job, resources = tmp_path / "job.yaml", {"runner": runner}
    corpus.write_job(job, source, tmp_path / "out", path, model=_TRUST, resources=resources)
    return Workplace(tmp_path, gate, whole, runner)


more_on_ray = pytest.mark.parametrize(
    "work", [pytest.param("ray", marks=pytest.mark.faults), "local"], indirect=True
)
only_on_ray = pytest.mark.parametrize("work", ["ray"], indirect=True)
only_local = pytest.mark.parametrize("work", ["local"], indirect=True)


@pytest.mark.parametrize(
    ("work", "again"),
    [
        ("ray", "local"),
        ("local", "local"),
        pytest.param("ray", "ray", marks=pytest.mark.faults),
        pytest.param("local", "ray", marks=pytest.mark.faults),
    ],
    indirect=["work"],
)
def test_driver_and_all_killed_in_a_commit_resumes_to_the_same_bytes(
    work: Workplace, again: str
) -> None:
    killed = process.label(work.job, environment=work.death(_COMMITTED, everyone=True))
    require_readable(work.out, work.whole)
    before = work.parts()
    work.gate.open()

    resumed = process.label(work.job, "--set", f"resources.runner={again}")

    assert (killed.code, resumed.code) == (-signal.SIGKILL, 0)
    assert _COMMITTED <= len(before) <= _LET
    assert (resumed.told["complete"], resumed.told["attempts"]) == (True, 2)
    require_whole(work.out, work.whole, before)


@pytest.mark.faults
@only_on_ray
def test_writer_and_replica_killed_alone_do_not_stop_the_job(work: Workplace) -> None:
    death = work.death(2, everyone=False)
    with process.command("label", str(work.job), "--json", environment=death) as running:
        work.wait_at_gate(running)
        work.replica(running).kill()
        work.gate.open()
        ended = running.end()

    assert (work.claims / "2").exists()  # the writer did die
    assert (ended.code, ended.told["attempts"]) == (0, 1)
    require_whole(work.out, work.whole, {})


@only_local
def test_replica_killed_alone_does_not_stop_the_job(work: Workplace) -> None:
    with process.command("label", str(work.job), "--json") as running:
        work.wait_at_gate(running)
        work.replica(running).kill()
        work.gate.open()
        ended = running.end()

    assert (ended.code, ended.told["attempts"]) == (0, 1)
    require_whole(work.out, work.whole, {})


@pytest.mark.faults
@only_on_ray
def test_raylet_killed_alone_ends_the_job_which_resumes(work: Workplace) -> None:
    with process.command("label", str(work.job), "--json") as running:
        work.wait_at_gate(running)
        (raylet,) = (each for each in running.members if each.name() == "raylet")
        raylet.kill()
        ended = running.end(_SOON)  # and no process of it is left

    assert (ended.code, ended.out) == (1, "")
    work.require_resumes(work.parts())


@more_on_ray
def test_driver_killed_alone_while_its_workers_go_on_resumes_at_once(work: Workplace) -> None:
    with process.command("label", str(work.job), "--json") as running:
        work.wait_at_gate(running)
        running.root.kill()
        work.require_resumes(work.parts())


@only_local
def test_replica_whose_driver_is_killed_ends_though_it_is_predicting(work: Workplace) -> None:
    with process.command("label", str(work.job), "--json") as running:
        work.wait_at_gate(running)
        replica = work.replica(running)
        running.root.kill()
        family.wait_gone([replica])  # the gate is shut all the time


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.faults), signal.SIGTERM]
)
def test_signal_ends_the_job_after_the_split_in_prediction(
    work: Workplace, number: signal.Signals
) -> None:
    with process.command("label", str(work.job), "--json") as running:
        work.wait_at_gate(running)
        running.signal(number, group=number == signal.SIGINT)
        running.wait_until(lambda: "stopping after" in running.said)
        work.gate.open()
        ended = running.end(_SOON)
    after = work.parts()

    assert (ended.code, ended.told["complete"]) == (3, False)
    assert "run the same command again to go on" in ended.err
    assert not any(word in ended.err for word in ("Traceback", "WARNING"))
    assert ended.told["splits_done"] == len(after) == _LET + 1
    work.require_resumes(after)


@pytest.mark.faults
def test_second_signal_ends_the_job_at_once(work: Workplace) -> None:
    with process.command("label", str(work.job), "--json") as running:
        work.wait_at_gate(running)
        running.signal(signal.SIGINT, group=True)
        running.wait_until(lambda: "stopping after" in running.said)
        running.signal(signal.SIGINT, group=True)
        ended = running.end(_SOON)  # the gate is shut all the time

    assert (ended.code, ended.out) == (3, "")
    assert "running the same command again goes on" in ended.err
    assert not any(word in ended.err for word in ("Traceback", "WARNING"))
    work.require_resumes(work.parts())
