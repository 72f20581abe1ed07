"""Attempts: who tried to bring a run forward, when and where. Told to people, never decided by."""

import json
import os
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import labelmill
from labelmill.errors import LedgerError
from labelmill.ledger import lines, names
from labelmill.storage import Store, bulk, put


def _new_name() -> str:
    # No dots, and no part of a word: see `names`. Sorted by name, attempts are sorted by time.
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + secrets.token_hex(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One process's try at a run. Without arguments: this process, from now on."""

    name: str = field(default_factory=_new_name)  # unique; receipts bear it
    started: float = field(default_factory=time.time)  # unix seconds
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    labelmill_version: str = labelmill.__version__
    resources: Mapping[str, Any] = field(default_factory=dict)  # JSON: as resolved for this attempt

    def begin(self, store: Store) -> None:
        """Record the attempt; raises LedgerError where its name is taken by another."""
        path, data = names.attempt(self.name), json.dumps(asdict(self)).encode()
        if not put(store, path, data):
            raise LedgerError(
                f"an attempt {self.name!r} is recorded already in {store.url!r}; give each a new "
                "name"
            )

    @classmethod
    def from_json(cls, path: str, data: bytes) -> Self:
        """The attempt of a record; raises CorruptRun naming `path`."""
        facts = lines.parse(path, data)
        try:
            return cls(**facts)
        except TypeError as err:
            raise lines.broken(path, err) from err


def read_attempts(store: Store) -> tuple[Attempt, ...]:
    """Every attempt at the run, oldest first."""
    paths = sorted(entry.path for entry in store.list(names.ATTEMPTS))
    found = [Attempt.from_json(path, data) for path, data in bulk.read_all(store, paths)]
    return tuple(sorted(found, key=lambda attempt: (attempt.started, attempt.name)))
