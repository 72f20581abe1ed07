"""Replicas in processes of their own: what they are handed, what they say, and how they end."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelmill.errors import ConfigError, LabelmillError
from labelmill.pipeline import Committed, shape
from labelmill.pipeline.local_run import LocalRunner
from labelmill.plan.briefing import make_recipe
from labelmill.plan.recipe import Recipe
from labelmill.stages.read import ReadWork
from tests.support import inline, process
from tests.support.models import tiny_classifier

ROWS, SPLIT_ROWS = 90, 10


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_classifier(tmp_path_factory.mktemp("model") / "bert")


def job_of(directory: Path, model: str, engine: str = "openvino", **resources: Any) -> Any:
    """OpenVINO's engine starts in half the time."""
    (directory / "in").mkdir()
    texts = [f"the cat sat on mat {row}" for row in range(ROWS)]
    pq.write_table(pa.table({"id": range(ROWS), "text": texts}), directory / "in" / "a.parquet")
    settings = {
        "task": "text-classification",
        "model": {"path": model, "engine": engine, "precision": "float32"},
        "source": {"path": str(directory / "in"), "split_rows": SPLIT_ROWS},
        "output": {"path": str(directory / "out")},
        "resources": {"runner": "local", **resources},
    }
    return inline.job_of(directory, settings)


def prepared(
    directory: Path, model: str, engine: str = "openvino"
) -> tuple[Any, Recipe, list[ReadWork]]:
    """A job, its recipe and its work, without a ledger."""
    job = job_of(directory, model, engine)
    plan = inline.plan_of(job)
    recipe = make_recipe(plan, plan.manifest, threads=1, attempt="one")
    return job, recipe, [ReadWork(shard=one, generation=0) for one in plan.listing.shards]


def children() -> set[int]:
    return {one.pid for one in psutil.Process().children(recursive=True)}


@pytest.fixture
def runner() -> Iterator[LocalRunner]:
    before = children()
    with closing(LocalRunner(verbose=False)) as runner:
        yield runner
    assert children() == before


def test_events_tell_of_every_split_and_no_process_is_left(
    tmp_path: Path, model: str, runner: LocalRunner
) -> None:
    job, recipe, works = prepared(tmp_path, model)
    spread = shape(job.resources, runner.cluster, "cpu", "scoring", 1)

    events = list(runner.run(recipe, works, spread, lambda: False))

    splits = [event.receipt.split.index for event in events if isinstance(event, Committed)]
    assert sorted(splits) == list(range(ROWS // SPLIT_ROWS))


def test_who_takes_no_more_events_ends_the_processes(
    tmp_path: Path, model: str, runner: LocalRunner
) -> None:
    job, recipe, works = prepared(tmp_path, model)
    spread = shape(job.resources, runner.cluster, "cpu", "scoring", 1)

    events = runner.run(recipe, works, spread, lambda: False)
    next(event for event in events if isinstance(event, Committed))
    events.close()


def test_error_of_a_replica_comes_out_as_it_was_raised(
    tmp_path: Path, model: str, runner: LocalRunner
) -> None:
    job, recipe, works = prepared(tmp_path, model, "pytorch")
    spread = shape(job.resources, runner.cluster, "cpu", "scoring", 1)
    for weights in Path(model).glob("*.safetensors"):
        weights.rename(weights.with_suffix(".away"))

    try:
        with pytest.raises(LabelmillError, match=r"cannot be loaded|no weights|safetensors"):
            list(runner.run(recipe, works, spread, lambda: False))
    finally:
        for weights in Path(model).glob("*.away"):
            weights.rename(weights.with_suffix(".safetensors"))


def test_stop_before_the_start_commits_nothing(
    tmp_path: Path, model: str, runner: LocalRunner
) -> None:
    job, recipe, works = prepared(tmp_path, model)
    spread = shape(job.resources, runner.cluster, "cpu", "scoring", 1)

    events = list(runner.run(recipe, works, spread, lambda: True))

    assert not any(isinstance(event, Committed) for event in events)


def test_far_more_replicas_than_cores_are_refused(
    tmp_path: Path, model: str, runner: LocalRunner
) -> None:
    job, recipe, works = prepared(tmp_path, model)
    many = 4 * runner.cluster.cores + 1
    resources = job.resources.model_copy(update={"replicas": many})
    spread = shape(resources, runner.cluster, "cpu", "scoring", 1)

    with pytest.raises(ConfigError, match=rf"resources\.replicas: {many} processes"):
        list(runner.run(recipe, works, spread, lambda: False))


def test_runner_that_runs_nothing_leaves_no_process(runner: LocalRunner) -> None:
    assert runner.cluster.nodes == 1  # the fixture looks


@pytest.mark.slow
def test_several_replicas_give_the_parts_of_one(tmp_path: Path, model: str) -> None:
    for count in (1, 3):
        directory = tmp_path / str(count)
        directory.mkdir()
        job_of(directory, model, replicas=count)
        ended = process.label(directory / "job.yaml")
        assert (ended.code, ended.told["rows_labelled"]) == (0, ROWS), ended.err

    one, three = (
        {path.name: path.read_bytes() for path in (tmp_path / count / "out").glob("*.parquet")}
        for count in ("1", "3")
    )
    assert len(one) == ROWS // SPLIT_ROWS
    assert one == three
