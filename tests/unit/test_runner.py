"""What runs a job where it says nothing, and that it obeys where it does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from labelmill import threads
from labelmill.config.resources import ResourcesSection
from labelmill.pipeline import runner


@pytest.fixture(autouse=True)
def laptop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine of eight cores, without GPU and without Ray."""
    monkeypatch.setattr(runner, "cores", lambda: 8)
    monkeypatch.setattr(runner, "_gpus", lambda: False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.parametrize("name", ["local", "ray"])
def test_runner_is_what_the_job_names(name: str) -> None:
    assert runner.chosen(ResourcesSection.model_validate({"runner": name})) == name


def test_laptop_does_without_ray() -> None:
    assert runner.chosen(ResourcesSection()) == "local"
    assert runner.chosen(ResourcesSection(gpus_per_replica=0)) == "local"


def test_large_machine_has_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "cores", lambda: 9)
    assert runner.chosen(ResourcesSection()) == "ray"


def test_machine_with_a_gpu_has_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_gpus", lambda: True)
    assert runner.chosen(ResourcesSection()) == "ray"


def test_job_that_asks_for_gpus_has_ray() -> None:
    assert runner.chosen(ResourcesSection(gpus_per_replica=1)) == "ray"


def test_gpus_without_ray_are_refused() -> None:
    with pytest.raises(ValidationError, match="uses no GPU"):
        ResourcesSection(runner="local", gpus_per_replica=1)


def test_job_of_a_cluster_has_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert runner.chosen(ResourcesSection()) == "ray"


def test_file_that_tells_of_a_cluster_is_where_ray_puts_it(tmp_path: Path) -> None:
    """Ray is asked in a process of its own, which reads the environment as a node does."""
    code = "from ray._common import utils; print(utils.get_ray_address_file(None))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    place = Path(ended.stdout.strip())
    assert place.is_relative_to(os.environ["RAY_TMPDIR"])

    place.parent.mkdir()
    place.write_text("10.0.0.1:6379", "utf-8")

    assert runner.chosen(ResourcesSection()) == "ray"


@pytest.mark.parametrize(
    ("told", "allowed"), [("max 100000", 999), ("150000 100000", 2), ("1000 100000", 1), ("", 999)]
)
def test_container_may_have_fewer_cores_than_its_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: str, allowed: int
) -> None:
    monkeypatch.undo()
    machine = threads.cores()
    monkeypatch.setattr(threads, "_QUOTA", tmp_path / "cpu.max")
    (tmp_path / "cpu.max").write_text(told, "ascii")

    assert threads.cores() == min(machine, allowed)


def test_jobs_without_ray_do_not_import_it() -> None:
    code = (
        "import sys, labelmill.cli.labelling;"
        "from labelmill.pipeline import local_run, replica_process;"
        "print('ray' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
