"""Simulated: a run of very many splits whose ledger lies on disk and whose parts do not.

Every part is one line, made when it is asked for, so that a listing of a million parts, or the
reading of them, costs what the driver makes of it and no disk. The files of the ledger are real, as
labelmill itself writes them; only fsync is left out. Every request is counted.
"""

import io
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from typing_extensions import override

from labelmill.ledger import names
from labelmill.ledger.attempts import Attempt
from labelmill.ledger.manifest import Manifest
from labelmill.ledger.receipt import Receipt, checksum, part_name
from labelmill.ledger.run import Run
from labelmill.ledger.segments import Compactor
from labelmill.splits import CutRule, Shard, Split
from labelmill.storage import Entry, Kind
from labelmill.storage.local import LocalStore

ROWS = 1  # of a split
PAGE = 1_000  # names that an object store gives an answer to one request for a listing
_LEFT = 200  # single receipts that a killed driver leaves


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A run of `shards` shards of `splits` splits each; `done` splits of each are labelled."""

    shards: int
    splits: int
    done: tuple[int, int]  # of the shards of even and of odd place

    def splits_done(self, place: int) -> int:
        """Of the shard at that place of the run."""
        return self.done[place % 2]


class SimulatedStore:
    """See the module. Follows `labelmill.storage.Store`."""

    exclusive = True

    def __init__(self, root: Path, size: Size) -> None:
        self.url = str(root)
        self.asked: Counter[str] = Counter()  # requests by verb, and objects listed
        self._root = root
        self._disk = LocalStore(str(root))
        self._size = size
        self._lock = threading.Lock()

    def list(
        self, prefix: str = "", *, hidden: bool = True, depth: int | None = None
    ) -> Iterator[Entry]:
        """The ledger's files as they lie there, then every part of what is labelled."""
        for number, entry in enumerate(self._entries(prefix, hidden=hidden, depth=depth)):
            if number % PAGE == 0:
                self.asked["list"] += 1
            self.asked["listed"] += 1
            yield entry

    def kind(self, path: str) -> Kind | None:
        """Of the ledger."""
        return self._disk.kind(path)

    def names(self, path: str) -> tuple[str, ...]:
        """Of the ledger."""
        return self._disk.names(path)

    def stat(self, path: str) -> Entry:
        """Any file of the ledger."""
        self._count("stat")
        return self._disk.stat(path)

    def open(self, path: str) -> BinaryIO:
        """A file of the ledger from disk; any other is a part."""
        self._count("open")
        return self._disk.open(path) if names.inside(path) else io.BytesIO(part(path))

    def create(self, path: str, data: bytes | memoryview) -> bool:
        """Without fsync."""
        self._count("create")
        place = self._root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            with place.open("xb") as file:
                file.write(data)
        except FileExistsError:
            return False
        return True

    def delete(self, path: str) -> None:
        """Without fsync."""
        self._count("delete")
        (self._root / path).unlink(missing_ok=True)

    def sweep(self) -> None:
        """As `LocalStore` does it, where the ledger is."""
        self._disk.sweep()

    def _count(self, verb: str) -> None:
        with self._lock:
            self.asked[verb] += 1

    def _entries(self, prefix: str, *, hidden: bool, depth: int | None) -> Iterator[Entry]:
        yield from self._disk.list(prefix, hidden=hidden, depth=depth)
        if prefix:
            return
        for place, shard in enumerate(paths(self._size.shards)):
            for index in range(self._size.splits_done(place)):
                path = f"{shard}-{index:05d}.jsonl"
                yield Entry(path=path, size=len(part(path)), version="1")


class _Lasting(SimulatedStore):
    """While a run is made: receipts go into segments without having lain there."""

    @override
    def delete(self, path: str) -> None:
        if not path.startswith(f"{names.RECEIPTS}/"):
            super().delete(path)


def paths(count: int) -> Iterator[str]:
    """Names of shards, in order, a thousand a folder."""
    return (f"crawl/part-{n // 1000:03d}/{n:06d}.jsonl.gz" for n in range(count))


def part(path: str) -> bytes:
    """What a part holds: no two the same, as their checksums would pack too well."""
    return f'{{"id":"{path}","label":"good","score":0.5}}\n'.encode()


def shards(count: int) -> tuple[Shard, ...]:
    """The shards of a source, some large and most small."""
    return tuple(
        Shard(path=path, url=f"/corpus/{path}", format="jsonl", size=1_000 + n % 997, version="1")
        for n, path in enumerate(paths(count))
    )


def manifest() -> Manifest:
    """Of the simulated run."""
    return Manifest(
        labelmill_version="0.1.0",
        created="2026-01-01T00:00:00Z",
        settings={"task": "text-classification"},
        provenance={"model": "m"},
        part_format="jsonl",
        schema=pa.schema([("label", pa.string()), ("score", pa.float32())]),
        source_schema=pa.schema([]),
        rule=CutRule(split_rows=ROWS, split_bytes=128 << 20),
    )


def make(root: Path, size: Size) -> None:
    """Write the ledger of a run in which so much is labelled, by a driver that was killed."""
    store = _Lasting(root, replace(size, done=(0, 0)))
    attempt = Attempt(name="made")
    Run.on(store, manifest(), shards(size.shards), attempt=attempt)
    compactor = Compactor(store, attempt.name)
    total = sum(size.splits_done(place) for place in range(size.shards))
    for number, receipt in enumerate(_receipts(size, attempt.name)):
        if number < total - min(_LEFT, total // 2):
            compactor.add(receipt)
            continue
        compactor.flush()
        path = names.receipt(receipt.split.id, receipt.generation)
        store.create(path, receipt.to_json())


def _receipts(size: Size, attempt: str) -> Iterator[Receipt]:
    for place, path in enumerate(paths(size.shards)):
        for index in range(size.splits_done(place)):
            yield _receipt(path, index, size, attempt)


def _receipt(path: str, index: int, size: Size, attempt: str) -> Receipt:
    last = index == size.splits - 1
    split = Split(shard=path, index=index, start=index, stop=index + ROWS, last=last)
    path = part_name(split, "jsonl")
    return Receipt(
        split=split,
        generation=0,
        part=path,
        part_size=len(part(path)),
        checksum=checksum(part(path)),
        rows_read=ROWS,
        rows_labelled=ROWS,
        rows_rejected=0,
        rows_written=ROWS,
        tokens=100,
        padded_tokens=100,
        rejects=(),
        breaks=(),
        seconds={"read": 0.1, "tokenize": 1.25, "predict": 4.5, "write": 0.5},
        attempt=attempt,
        replica={"engine": "pytorch", "precision": "bfloat16", "device": "cuda", "budget": 32768},
    )
