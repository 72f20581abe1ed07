"""What keeps a job of very many shards cheap: the order of its work, and what its tasks carry."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import cloudpickle
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ray.data import ReadTask

from labelmill.pipeline.run import grouped
from labelmill.plan.briefing import make_recipe
from labelmill.plan.recipe import Recipe
from labelmill.plan.survey import Use, survey
from labelmill.source import list_shards
from labelmill.stages.board import Board
from labelmill.stages.parcel import Parcel
from labelmill.stages.read import ReadWork, ShardSource
from tests.support import inline
from tests.support.models import tiny_classifier

ROWS = (3, 40, 1, 12, 2, 25, 5)  # of each shard


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_classifier(tmp_path_factory.mktemp("model") / "bert")


def _read_tasks(directory: Path, model: str) -> tuple[Recipe, Sequence[ReadTask]]:
    """The recipe and Ray's read tasks of a job over shards of ROWS, ten rows a split."""
    (directory / "in").mkdir()
    for number, rows in enumerate(ROWS):
        lines = (json.dumps({"text": f"the fox {row:03d}"}) + "\n" for row in range(rows))
        (directory / "in" / f"{number}.jsonl").write_text("".join(lines), encoding="utf-8")
    job = inline.job_of(
        directory,
        {
            "task": "text-classification",
            "model": {"path": model},
            "source": {"path": str(directory / "in"), "split_rows": 10},
            "output": {"path": str(directory / "out")},
        },
    )
    plan = inline.plan_of(job)
    recipe = make_recipe(plan, plan.manifest, threads=1, attempt="one")
    works = [ReadWork(shard=shard, generation=0) for shard in plan.listing.shards]
    return recipe, ShardSource(grouped(works), recipe, Board()).get_read_tasks(parallelism=1)


@pytest.mark.parametrize("tasks", [2, len(ROWS)], ids=["shared", "alone"])
def test_largest_shards_are_read_first_and_smaller_splits_last(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch, tasks: int
) -> None:
    monkeypatch.setattr(sys.modules[grouped.__module__], "READ_TASKS", tasks)
    _, read_tasks = _read_tasks(tmp_path, model)
    heads = [Parcel.from_block(block).head for task in read_tasks for block in task()]
    shards = list(dict.fromkeys(int(head.split.shard.removesuffix(".jsonl")) for head in heads))
    assert [ROWS[shard] for shard in shards] == sorted(ROWS, reverse=True)
    sizes = [head.split.stop - head.split.start for head in heads]
    assert sizes[-4:] == sorted(sizes[-4:], reverse=True)
    assert max(sizes[-4:]) <= max(sizes) / 2


def test_read_tasks_do_not_carry_the_tokenizer_each(tmp_path: Path, model: str) -> None:
    recipe, read_tasks = _read_tasks(tmp_path, model)
    assert recipe.tokenizer is not None
    text = recipe.tokenizer.serialized.encode()
    assert text[:200] in cloudpickle.dumps(recipe)
    assert len(read_tasks) == len(ROWS)
    assert not any(text[:200] in cloudpickle.dumps(task) for task in read_tasks)


def test_survey_of_shards_of_two_kinds_knows_all_rows_and_columns(tmp_path: Path) -> None:
    for number in range(60):
        columns = {"text": ["a"] * number} | ({"id": range(number)} if number % 20 == 7 else {})
        pq.write_table(pa.table(columns), tmp_path / f"{number:02d}.parquet")
    (tmp_path / "60.parquet").write_bytes(b"broken")
    shards = list_shards([str(tmp_path)]).shards
    found = survey(shards, Use(texts=frozenset({"text"}), kept=None))
    assert found.schema.names == ["text", "id"]
    assert (found.rows, list(found.unreadable)) == (None, ["60.parquet"])
    assert survey(shards[:-1], Use(texts=frozenset(), kept=None)).rows == sum(range(60))
