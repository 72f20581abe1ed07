"""Datasets of the Hugging Face Hub as sources: listing, revisions, reading, being offline."""

from collections.abc import Iterator

import fsspec.config
import pytest
from huggingface_hub import HfFileSystem

from labelmill.errors import InputError, StorageError
from labelmill.source import changed, list_shards
from labelmill.storage import open_file, open_store
from tests.support.hub import REPO, hub
from tests.support.sources import read, rows_of

ROOT = f"hf://datasets/{REPO}"
FILES = {
    "README.md": b"# a dataset\n",
    "data/train/a b.csv": b"id,text\n1,one\n2,two\n",
    "data/train/deep/b.csv": b"id,text\n3,three\n",
    "data/test.jsonl": b'{"text": "four"}\n',
    ".gitattributes": b"",
}


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A hub that hf:// means, for as long as the test runs."""
    with hub(FILES, ("main", "v1.0", "refs/pr/1")) as address:
        options = {"endpoint": address, "token": False}
        monkeypatch.setitem(fsspec.config.conf, "hf", options)
        HfFileSystem.clear_instance_cache()
        yield address
    HfFileSystem.clear_instance_cache()


@pytest.mark.parametrize("revision", ["", "@main", "@v1.0", "@refs/pr/1", "@refs%2Fpr%2F1"])
def test_dataset_is_listed_and_read_at_every_revision(online: str, revision: str) -> None:
    listing = list_shards([f"{ROOT}{revision}"])
    assert [(s.path, s.format) for s in listing.shards] == [
        ("data/test.jsonl", "jsonl"),
        ("data/train/a b.csv", "csv"),
        ("data/train/deep/b.csv", "csv"),
    ]
    assert [path.rpartition("/")[2] for path in listing.foreign] == ["README.md"]
    texts = [rows_of(read(shard)).fields["text"].to_pylist() for shard in listing.shards]
    assert texts == [["four"], ["one", "two"], ["three"]]
    assert [changed(shard) for shard in listing.shards] == [None] * 3
    assert [shard.size for shard in listing.shards] == [
        len(FILES[shard.path]) for shard in listing.shards
    ]


def test_paths_below_a_dataset_files_folders_and_globs(online: str) -> None:
    def names(path: str) -> list[str]:
        return [shard.path for shard in list_shards([path]).shards]

    assert names(f"{ROOT}/data/train") == ["a b.csv", "deep/b.csv"]
    assert names(f"{ROOT}@v1.0/data/train/deep/b.csv") == ["b.csv"]
    assert names(f"{ROOT}@main/data/*/*.csv") == ["train/a b.csv"]
    assert names(f"{ROOT}/data/**/*.csv") == ["train/a b.csv", "train/deep/b.csv"]
    with open_file(f"{ROOT}/data/test.jsonl") as file:
        file.seek(9)
        assert file.read(4) == b'"fou'


def test_what_is_not_there_is_said(online: str) -> None:
    with pytest.raises(InputError, match=r"there is no 'dat' in .*; did you mean 'data'\?"):
        list_shards([f"{ROOT}/dat"])
    with pytest.raises(InputError, match="does not exist"):
        list_shards(["hf://datasets/owner/other"])
    with pytest.raises(InputError, match="does not exist"):
        list_shards([f"{ROOT}@v2"])


def test_hub_that_cannot_be_reached_is_a_storage_error_that_names_the_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = {"endpoint": "http://127.0.0.1:9", "token": False}
    monkeypatch.setitem(fsspec.config.conf, "hf", options)
    HfFileSystem.clear_instance_cache()
    with pytest.raises(StorageError, match=rf"'{ROOT}': the hub cannot be reached .*HF_ENDPOINT"):
        list_shards([ROOT])
    HfFileSystem.clear_instance_cache()


def test_dataset_of_the_hub_cannot_be_written(online: str) -> None:
    with pytest.raises(StorageError, match="write to a local disk"):
        open_store(ROOT).create("a.txt", b"x")
