"""What of a place is told to people, and what is not."""

import io
import pickle

import pytest
from rich.console import Console

from labelmill.errors import InputError, StorageError
from labelmill.masking import masked
from labelmill.reports.progress import Progress
from labelmill.storage.failures import named

SIGNED = "https://u:pw@host/a.jsonl?X-Amz-Credential=AK%2F1&part=2&X-Amz-Signature=abc"


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (SIGNED, "https://***@host/a.jsonl?X-Amz-Credential=***&part=2&X-Amz-Signature=***"),
        ("https://u:p@w@host:80/x", "https://***@host:80/x"),
        ("http://token@host/x", "http://***@host/x"),
        ("HTTP://u:p@host/x", "HTTP://***@host/x"),
        ("sftp://u:pw@host/x", "sftp://u:***@host/x"),
        ("https://box/x?sv=2024&sig=a%2Bb#top", "https://box/x?sv=2024&sig=***#top"),
        ("x?a=1&amp;sig=2&amp;b=3", "x?a=1&amp;sig=***&amp;b=3"),
        ("shard 'a?access_token=1'; run", "shard 'a?access_token=***'; run"),
    ],
)
def test_secrets_of_a_place_are_hidden(place: str, told: str) -> None:
    assert masked(place) == told
    assert masked(told) == told


@pytest.mark.parametrize(
    "place",
    [
        "s3://bucket/time:12@noon/x y.jsonl",
        "abfs://container@account.dfs.core.windows.net/x",
        "hf://datasets/user/name@main/x.parquet",
        "https://host:8080/@user/x?page=2&n=3",
        "/data/a@b:c/x=1",
        "sftp://user@host/x",
        "http://host/x, not to me@there",
    ],
)
def test_what_is_no_secret_is_told(place: str) -> None:
    assert masked(place) == place


def test_errors_tell_no_secrets_wherever_they_are_raised() -> None:
    with pytest.raises(StorageError) as caught, named(SIGNED):
        raise ConnectionResetError(f"cannot connect to {SIGNED}")
    assert str(caught.value).count("X-Amz-Signature=***") == 2
    assert "pw" not in str(caught.value)
    again = pickle.loads(pickle.dumps(InputError(f"{SIGNED!r} is gone")))
    assert "pw" not in f"{again}"


def test_progress_tells_no_secrets() -> None:
    said = io.StringIO()
    Progress(Console(file=said)).say(f"left alone: {SIGNED}")
    assert said.getvalue().startswith("left alone: https://***@host/a.jsonl?")
