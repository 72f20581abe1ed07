"""A training whose result goes behind a URL: what lies there and when, at a real S3 server."""

import json
from pathlib import Path

import pytest

from labelmill import checkpoints
from labelmill.errors import ConfigError, FingerprintChanged, LedgerError, ModelError, StorageError
from labelmill.storage.opening import open_remote
from labelmill.training import finetune
from labelmill.training.loop import train
from labelmill.training.nearby import nearby
from labelmill.training.plan import make_plan
from labelmill.training.ray_group import Group, Kept
from tests.support.models import save_tiny
from tests.support.s3 import S3Bucket
from tests.support.training import Desk, job_of, reviews, weights_of, write_rows

STEPS = {"max_steps": 2, "save_strategy": "steps", "eval_strategy": "steps", "save_steps": 2}
STATE = {"model.training/training.json", "model.training/examples/rejects.jsonl"}
ROWS = {"model.training/examples/train.arrow", "model.training/examples/validation.arrow"}
MODEL = {"model/config.json", "model/model.safetensors", "model/training_results.json"}


def job_at(folder: Path, url: str, **training):
    start, rows = folder / "start", folder / "rows.parquet"
    if not start.exists():
        save_tiny(start, "bert", "AutoModelForMaskedLM")
        write_rows(rows, reviews(20))
    data = {"train": str(rows)}
    training = {**STEPS, "eval_steps": 2, "report_to": ["tensorboard"], **training}
    return job_of(
        folder, "text-classification", str(start), data, training=training, output={"path": url}
    )


def plan_of(job):
    return make_plan(job, lambda: Group(workers=1, gpus=0.0, cpus=1, max_failures=0))


def exported(tmp_path: Path, plan):
    """All but Ray: rows are written there, fetched, learned from, and the result put there."""
    ready = finetune.prepare(plan, print)
    recipe = nearby(ready.recipe, tmp_path / "scratch", first=True)
    desk = Desk(tmp_path)
    assert train(recipe, desk)
    last = desk.resume()
    assert last is not None
    finetune._exported(plan, ready, Kept(best=last, last=last), lambda _: {"card/x.md": b"x"})
    return last


def deny(*_: object) -> None:
    raise StorageError("access denied")


def again(plan, said):
    return finetune.fine_tune(
        plan, say=said.append, show=print, wished=lambda: False, papers=lambda _: {}
    )


def test_rows_then_the_result_then_nothing_but_what_is_told(
    s3_bucket: S3Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "home"))
    url = f"{s3_bucket.url}/model"
    plan = plan_of(job_at(tmp_path, url))
    assert not plan.begun
    assert s3_bucket.keys() == []
    with monkeypatch.context() as denied:
        denied.setattr(open_remote(url)._fs, "rm_file", deny)
        last = exported(tmp_path, plan)
        said: list[str] = []
        again(plan_of(job_at(tmp_path, url)), said)
        assert said[-1].endswith("stay, as they cannot go: access denied")
    s3_bucket.put("model.training/checkpoints/checkpoint_1/optimizer.pt", b"x")
    keys = set(s3_bucket.keys())
    assert keys > STATE | ROWS | MODEL | {"model/card/x.md"}

    said.clear()
    plan = plan_of(job_at(tmp_path, url))
    told = again(plan, said)
    assert said == [f"{url!r} is trained already; nothing to do"]
    assert told["path"] == url
    keys = set(s3_bucket.keys())
    assert {key for key in keys if key.startswith("model.training/")} == STATE
    assert keys > MODEL
    with pytest.raises(FingerprintChanged, match="learning_rate"):
        plan_of(job_at(tmp_path, url, learning_rate=0.5))
    found = checkpoints.resolve(url, None, trust_remote_code=False, allow_pickle=False)
    assert weights_of(Path(found.path)).keys() == weights_of(last).keys()


def test_result_of_which_a_part_was_put_is_put_anew(
    s3_bucket: S3Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver killed while it uploads: what lies there is no result, and no model."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "home"))
    url = f"{s3_bucket.url}/model"
    finetune.prepare(plan_of(job_at(tmp_path, url)), print)
    s3_bucket.put("model/model.safetensors", b"of the killed one")
    with pytest.raises(ModelError, match=r"config\.json"):
        checkpoints.resolve(url, None, trust_remote_code=False, allow_pickle=False)
    plan = plan_of(job_at(tmp_path, url))
    assert plan.begun
    assert plan.finished is None
    last = exported(tmp_path, plan)
    assert s3_bucket.read("model/model.safetensors") == (last / "model.safetensors").read_bytes()
    told = json.loads(s3_bucket.read("model/training_results.json"))
    assert told["steps"] == 2


def test_rows_that_a_killed_attempt_left_are_written_anew(
    s3_bucket: S3Bucket, tmp_path: Path
) -> None:
    s3_bucket.put("model.training/examples/train.arrow", b"of the killed one")
    s3_bucket.put("model.training/examples/gold.arrow", b"of another job")
    plan = plan_of(job_at(tmp_path, f"{s3_bucket.url}/model"))
    ready = finetune.prepare(plan, print)
    assert set(s3_bucket.keys()) == STATE | ROWS
    recipe = nearby(ready.recipe, tmp_path / "scratch", first=True)
    assert Path(recipe.examples).read_bytes() == s3_bucket.read(
        "model.training/examples/train.arrow"
    )
    assert recipe.gold is None


def test_worker_that_is_started_anew_fetches_what_the_killed_one_did_not(
    s3_bucket: S3Bucket, tmp_path: Path
) -> None:
    """It finds its directory as the killed one left it: half of the files, or all of them."""
    ready = finetune.prepare(plan_of(job_at(tmp_path, f"{s3_bucket.url}/model")), print)
    scratch = tmp_path / "scratch"
    (scratch / ".examples").mkdir(parents=True)
    (scratch / ".examples" / "train.arrow").write_bytes(b"half")
    recipe = nearby(ready.recipe, scratch, first=True)
    whole = s3_bucket.read("model.training/examples/train.arrow")
    assert Path(recipe.examples).read_bytes() == whole
    before = len(s3_bucket.server.requests)
    assert nearby(ready.recipe, scratch, first=True) == recipe
    assert len(s3_bucket.server.requests) == before


def test_place_with_something_else_is_refused(s3_bucket: S3Bucket, tmp_path: Path) -> None:
    s3_bucket.put("model/other/config.json", b"{}")
    with pytest.raises(LedgerError, match="is no result of labelmill train"):
        plan_of(job_at(tmp_path, f"{s3_bucket.url}/model"))


def test_place_where_nothing_lands_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"output.path: 'https://host/model' found, expected"):
        plan_of(job_at(tmp_path, "https://host/model"))


def test_whole_bucket_is_refused_as_a_result(tmp_path: Path) -> None:
    """Its checkpoints would lie in another bucket, of which nobody has heard."""
    with pytest.raises(ConfigError, match=r"'s3://models/' is a whole bucket, expected a dir"):
        plan_of(job_at(tmp_path, "s3://models/"))
