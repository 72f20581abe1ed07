"""Hugging Face datasets as training data: by id or directory, at a commit, with their label names.

No hub is reachable here: one on this machine stands for it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import datasets
import fsspec.config
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, Value
from huggingface_hub import HfFileSystem

from labelmill.errors import ConfigError, InputError
from labelmill.training import corpus
from labelmill.training.corpus import at
from labelmill.training.loop import train
from tests.support.hub import REPO, SHA, hub
from tests.support.models import save_tiny
from tests.support.training import Desk, job_of, ready, reviews

# Not in the order of the alphabet, and one that no row has.
NAMES = ["middling", "bad", "good", "unheard of"]
CLASSES = Features({"text": Value("string"), "label": ClassLabel(names=NAMES)})


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("start"), "bert", "AutoModelForMaskedLM")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def rows_of(count, *, lost=0):
    """The last `lost` rows are without a label, which is -1."""
    told = reviews(count)
    numbers = [NAMES.index(label) for label in told["label"]]
    numbers[count - lost :] = [-1] * lost
    return datasets.Dataset.from_dict({"text": told["text"], "label": numbers}, features=CLASSES)


@pytest.fixture
def folder(tmp_path):
    """A directory as the hub has datasets: two splits, each a Parquet file."""
    place = tmp_path / "repository"
    place.mkdir()
    rows_of(40).to_parquet(place / "train-00000-of-00001.parquet")
    rows_of(12).to_parquet(place / "test-00000-of-00001.parquet")
    return place


def job_for(tmp_path, start, data, **rest):
    return job_of(tmp_path, "text-classification", start, data, **rest)


def test_splits_of_a_dataset_are_learned_from_and_measured_by(tmp_path, start, folder):
    data = {"dataset": {"path": str(folder), "validation": "test"}}
    made = ready(job_for(tmp_path, start, data, training={"max_steps": 2, "logging_steps": 1}))
    known = made.manifest.data
    assert (known.train, known.validation) == (40, 12)
    assert known.labels == tuple(NAMES)
    assert known.counts == {"middling": 13, "bad": 14, "good": 13, "unheard of": 0}
    assert train(made.recipe, Desk(tmp_path))


def test_rows_are_kept_back_where_no_split_is_named(tmp_path, start, folder):
    data = {"dataset": {"path": str(folder), "train": "test"}, "validation_fraction": 0.4}
    known = ready(job_for(tmp_path, start, data)).manifest.data
    assert known.train + known.validation == 12
    assert known.validation > 0


def test_another_dataset_is_another_training(tmp_path, start, folder):
    from labelmill.errors import FingerprintChanged

    data = {"dataset": {"path": str(folder)}}
    ready(job_for(tmp_path, start, data))
    ready(job_for(tmp_path, start, data))
    kept = tmp_path / "model.training" / "checkpoints"
    (kept / "checkpoint_1").mkdir(parents=True)
    (kept / "checkpoint_manager_snapshot.json").write_text('["checkpoint_1"]')
    rows_of(39).to_parquet(folder / "train-00000-of-00001.parquet")
    with pytest.raises(FingerprintChanged, match=r"data\.train"):
        ready(job_for(tmp_path, start, data))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train": "trian"}, "split 'trian' of .* cannot be loaded: .*train"),
        ({"name": "nope"}, "BuilderConfig 'nope' not found. Available: .*default"),
        ({"path": "/no/such"}, "/no/such"),
    ],
)
def test_what_is_not_there_is_told(tmp_path, start, folder, changes, said):
    with pytest.raises(InputError, match=said):
        ready(job_for(tmp_path, start, {"dataset": {"path": str(folder), **changes}}))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "data: set either train .files. or dataset"),
        ({"train": "rows/", "dataset": {"path": "a/b"}}, "data: set either train .files. or"),
        (
            {"dataset": {"path": "a/b", "validation": "test"}, "validation": "rows/"},
            "data: validation and dataset.validation exclude each other",
        ),
        ({"dataset": {"path": "a/b", "train": "train[:9]"}}, "data.dataset.train: .*expression"),
        (
            {"dataset": {"path": "a/b", "split": "test"}},
            "data.dataset.split: no such setting",
        ),
    ],
)
def test_a_job_names_one_source(tmp_path, start, data, said):
    with pytest.raises(ConfigError, match=said):
        job_for(tmp_path, start, data)


def test_numbers_without_a_name_are_bad_rows(tmp_path, start):
    path = tmp_path / "rows.parquet"
    rows_of(40, lost=2).to_parquet(path)
    data = {"train": str(path), "max_rejected": 0.1, "validation_fraction": 0.0}
    made = ready(job_for(tmp_path, start, data))
    assert made.manifest.data.rejected == 2
    rejects = (tmp_path / "model.training" / "examples" / "rejects.jsonl").read_text()
    assert "label is a number that has no name in its ClassLabel of 4" in rejects


@pytest.mark.parametrize("save", ["to_parquet", "save_to_disk"])
def test_files_that_datasets_wrote_say_their_labels(tmp_path, start, save):
    place = tmp_path / ("rows.parquet" if save == "to_parquet" else "rows")
    getattr(rows_of(40), save)(place)
    assert ready(job_for(tmp_path, start, {"train": str(place)})).manifest.data.labels == (
        tuple(NAMES)
    )


def test_lists_of_class_labels_are_tags_by_name(tmp_path, start):
    tags = datasets.List(ClassLabel(names=["O", "B-X", "I-X"]))
    given = {"words": [["a", "b"], ["c"]] * 10, "tags": [[0, 1], [2]] * 10}
    features = Features({"words": datasets.List(Value("string")), "tags": tags})
    path = tmp_path / "rows.parquet"
    datasets.Dataset.from_dict(given, features=features).to_parquet(path)
    data = {"train": str(path), "validation_fraction": 0.0}
    known = ready(job_of(tmp_path, "token-classification", start, data)).manifest.data
    assert known.labels == ("O", "B-X", "I-X")
    assert dict(known.counts) == {"O": 10, "B-X": 10, "I-X": 10}


def test_a_model_that_has_the_labels_keeps_their_order(tmp_path):
    from tests.support.models import tiny_classifier

    model = tiny_classifier(tmp_path / "start", labels=4)
    config = json.loads((tmp_path / "start" / "config.json").read_text())
    order = ["good", "bad", "middling", "unheard of"]
    config |= {"id2label": dict(enumerate(order))}
    config |= {"label2id": {name: number for number, name in enumerate(order)}}
    (tmp_path / "start" / "config.json").write_text(json.dumps(config))
    path = tmp_path / "rows.parquet"
    rows_of(40).to_parquet(path)
    labels = ready(job_for(tmp_path, model, {"train": str(path)})).manifest.data.labels
    assert labels == tuple(order)


def test_files_whose_numbers_mean_different_things_are_refused(tmp_path, start):
    for name, names in (("a", ["bad", "good"]), ("b", ["good", "bad"])):
        features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
        rows = datasets.Dataset.from_dict({"text": ["x"], "label": [0]}, features=features)
        rows.to_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(InputError, match="'label' has other names for its numbers"):
        ready(job_for(tmp_path, start, {"train": str(tmp_path / "*.parquet")}))


def test_files_of_a_hub_dataset_by_url(tmp_path, start, folder, monkeypatch):
    files = {f"data/{path.name}": path.read_bytes() for path in folder.iterdir()}
    with hub(files) as address:
        options = {"endpoint": address, "token": False}
        monkeypatch.setitem(fsspec.config.conf, "hf", options)
        HfFileSystem.clear_instance_cache()
        root = f"hf://datasets/{REPO}@{SHA}/data"
        data = {"train": f"{root}/train-*.parquet", "validation": f"{root}/test-*.parquet"}
        made = ready(job_for(tmp_path, start, data))
    HfFileSystem.clear_instance_cache()
    assert (made.manifest.data.train, made.manifest.data.validation) == (40, 12)
    assert made.manifest.data.labels == tuple(NAMES)


READ = """
import json, sys
from labelmill.config.data import DataSection
from labelmill.training import corpus
from labelmill.training.dataset import sources
from labelmill.ops import plugins

task = plugins.load_class("labelmill.tasks", "text-classification")()
for data in map(DataSection.model_validate, json.loads(sys.argv[1])):
    found = [corpus.find(files, {}, task) for files in sources(data)]
    rows = [sum(len(piece.rows) for piece in corpus.read(one)) for one in found]
    print(json.dumps([rows, [one.shards[0].version for one in found], found[0].names["label"]]))
"""


@pytest.mark.slow
def test_hub_id_is_read_at_its_commit(tmp_path, folder):
    """In a process of its own, as the address of the hub is read once."""
    files = {f"data/{path.name}": path.read_bytes() for path in folder.iterdir()}
    wanted = [{"path": REPO, "validation": "test", "revision": one} for one in (None, "v1.0", SHA)]
    asked = json.dumps([{"dataset": one} for one in wanted])
    with hub({**files, "README.md": b"# reviews\n"}, ("main", "v1.0")) as address:
        home = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
        done = subprocess.run(
            [sys.executable, "-c", READ, asked], check=True, capture_output=True, text=True,
            cwd=Path(__file__).parents[2], env={**os.environ, **home, "HF_HUB_DISABLE_XET": "1"},
        )  # fmt: skip
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told == [[[40, 12], [SHA, SHA], NAMES]] * 3


def test_corpus_of_files_without_names_has_none(tmp_path):
    from labelmill.ops import plugins

    path = tmp_path / "rows.parquet"
    pq.write_table(rows_of(4).data.table.replace_schema_metadata(), path)
    task = plugins.load_class("labelmill.tasks", "text-classification")()
    assert corpus.find(lambda: at([str(path)], "auto"), {}, task).names == {}
