"""A name that is taken: by ourselves, by another, or by nobody any more."""

import pytest

from labelmill.errors import LedgerError
from labelmill.ledger.attempts import Attempt
from labelmill.storage import Store, put
from labelmill.training.manifest import Data, TrainManifest
from tests.support.runs import an_attempt
from tests.support.stores import MemoryStore


class Forgetful(MemoryStore):
    """The answer to every upload is lost, and the library repeats it."""

    def create(self, path: str, data: bytes | memoryview) -> bool:
        """See `Store`."""
        super().create(path, data)
        return super().create(path, data)


class Fleeting(MemoryStore):
    """Another writer was first, and has deleted its file before it is read."""

    def create(self, path: str, data: bytes | memoryview) -> bool:
        """See `Store`."""
        del path, data
        return False


@pytest.mark.parametrize("data", [b"content", b""])
def test_file_whose_answer_was_lost_is_ours(data: bytes) -> None:
    store = Forgetful()
    assert put(store, "x", data)
    assert store.files == {"x": data}


@pytest.mark.parametrize("theirs", [b"theirs!", b"content and more", b"con", b""])
def test_file_of_other_content_is_not_ours_and_stays(theirs: bytes) -> None:
    store = MemoryStore({"x": theirs})
    assert not put(store, "x", b"content")
    assert store.files == {"x": theirs}


def test_file_that_is_gone_again_is_not_ours() -> None:
    assert not put(Fleeting(), "x", b"content")


def _manifest(rows: int) -> TrainManifest:
    data = Data(
        rows=rows,
        rejected=0,
        train_rows=rows,
        train=rows,
        validation=0,
        labels=(),
        problem_type=None,
        counts={},
        tokens=1,
    )
    return TrainManifest(settings={}, data=data)


@pytest.mark.parametrize("store", [MemoryStore(), Forgetful()])
def test_records_written_once_know_their_own(store: Store) -> None:
    _manifest(1).save(store)
    with pytest.raises(LedgerError, match="by another process"):
        _manifest(2).save(store)
    an_attempt("one").begin(store)
    with pytest.raises(LedgerError, match="recorded already"):
        Attempt(name="one", host="there").begin(store)
