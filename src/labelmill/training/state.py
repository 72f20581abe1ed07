"""State: what a training keeps beside its result, and what of it goes once the result is there.

A directory of the result's name with '.training' at its end, on a disk or behind a URL. Encoded
rows and checkpoints are large, and of no more use: a finished training is never gone on with.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from labelmill.errors import LedgerError
from labelmill.storage import FileMissing, Store, bulk, clear, is_local, join, open_store, upload
from labelmill.training.manifest import MANIFEST
from labelmill.training.preparing import Places
from labelmill.training.ray_group import CHECKPOINTS

_EXAMPLES, _BOARD = "examples", "tensorboard"
_TRAIN, _VALIDATION, _GOLD = "train.arrow", "validation.arrow", "gold.arrow"
_REJECTS = "rejects.jsonl"
_LOCK = ".lock"
_CHECKPOINT = "checkpoint_"  # how Ray Train's names begin
_LIST = "checkpoint_manager_snapshot.json"  # those that it knows


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where everything lies."""

    url: str  # absolute path or URL

    @classmethod
    def beside(cls, result: str) -> "State":
        """That of the training whose result is to be there."""
        return cls(url=f"{result}.training")

    @property
    def path(self) -> Path:
        """The directory of a state that lies on a disk."""
        return Path(self.url)

    @property
    def store(self) -> Store:
        """It, opened."""
        return open_store(self.url)

    @property
    def board(self) -> str:
        """Directory of TensorBoard's files."""
        return join(self.url, _BOARD)

    @property
    def checkpoints(self) -> Path:
        """Directory of Ray Train's, of a state that lies on a disk."""
        return self.path / CHECKPOINTS

    @property
    def has_checkpoints(self) -> bool:
        """Whether there is one to go on from."""
        return any(known for _, known in self._kept())

    @property
    def has_examples(self) -> bool:
        """Whether rows have been read and encoded, and are still there."""
        return self.store.kind(f"{_EXAMPLES}/{_TRAIN}") == "file"

    @property
    def examples(self) -> str:
        """File of the examples to learn from."""
        return self._rows(_TRAIN)

    @property
    def validation(self) -> str:
        """File of those to measure by."""
        return self._rows(_VALIDATION)

    @property
    def gold(self) -> str | None:
        """File of the rows to measure by as they are; None where there is none."""
        found = self.store.kind(f"{_EXAMPLES}/{_GOLD}") == "file"
        return self._rows(_GOLD) if found else None

    @contextmanager
    def writing(self, *, labelled: bool) -> Iterator[Places]:
        """Where the rows are to be written; when it ends, they are where workers look for them."""
        folder = join(self.url, _EXAMPLES)
        if is_local(folder):
            _remove(folder)  # what a killed process left half written
            yield _places(Path(folder), labelled=labelled)
            return
        with tempfile.TemporaryDirectory(prefix="labelmill-") as room:
            yield _places(Path(room), labelled=labelled)
            clear(folder)
            upload(Path(room), folder)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else on this machine, or on a disk with locks, trains here at the same time.

        Raises LedgerError where somebody does. What lies behind a URL has no locks.
        """
        if not is_local(self.url):
            yield
            return
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / _LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise LedgerError(
                f"{self.url!r} is in use by another 'labelmill train'; wait for its end, or stop "
                "it; the same command then goes on from its last checkpoint"
            ) from error
        except NotImplementedError:  # a file system without locks
            pass
        try:
            yield
        finally:
            lock.release()

    def sweep(self) -> None:
        """Delete checkpoints that Ray does not know, of workers that outlived their driver."""
        for name, known in self._kept():
            if not known:
                _remove(join(self.url, f"{CHECKPOINTS}/{name}"))

    def _kept(self) -> list[tuple[str, bool]]:
        """The checkpoints that lie there by name, and whether Ray's own list has each."""
        store = self.store
        found = [name for name in store.names(CHECKPOINTS) if name.startswith(_CHECKPOINT)]
        try:
            listed = bulk.read(store, f"{CHECKPOINTS}/{_LIST}").decode()
        except FileMissing:
            listed = ""
        return [(name, f'"{name}"' in listed) for name in found]

    def discard(self) -> None:
        """Delete everything of a training that is not to be gone on with."""
        # The manifest first: without it, nothing else counts.
        rows = (_TRAIN, _VALIDATION, _GOLD, _REJECTS)
        self._delete(MANIFEST, *(f"{_EXAMPLES}/{name}" for name in rows))
        self._clear_checkpoints()

    def tidy(self, *, checkpoints: bool) -> None:
        """Delete the encoded rows, and the checkpoints where they are not wanted."""
        self._delete(*(f"{_EXAMPLES}/{name}" for name in (_TRAIN, _VALIDATION, _GOLD)))
        if not checkpoints:
            self._clear_checkpoints()

    def _clear_checkpoints(self) -> None:
        _remove(join(self.url, CHECKPOINTS))

    def _delete(self, *paths: str) -> None:
        store = self.store
        for path in paths:
            store.delete(path)

    def _rows(self, name: str) -> str:
        return join(self.url, f"{_EXAMPLES}/{name}")


def _remove(url: str) -> None:
    """Delete a directory, if it is there."""
    if is_local(url):
        shutil.rmtree(url, ignore_errors=True)
    else:
        clear(url)


def _places(folder: Path, *, labelled: bool) -> Places:
    return Places(
        train=folder / _TRAIN,
        validation=folder / _VALIDATION,
        rejects=folder / _REJECTS,
        gold=folder / _GOLD if labelled else None,
    )
