"""Lines: many JSON objects in one file of the ledger, gzip'd, one a line.

It promises that a file which is not what was written is a CorruptRun that names it. A file of the
ledger is created whole, so a broken one was altered by somebody else.
"""

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, cast

from labelmill.errors import CorruptRun
from labelmill.storage import Store

_AT_ONCE = 1_000  # lines
_BUFFER = 1 << 20  # bytes a request
_BROKEN = (gzip.BadGzipFile, EOFError, zlib.error, ValueError, TypeError)
ODD = (KeyError, TypeError)  # what comes of an object that is not one of ours


def pack(records: Iterable[dict[str, Any]]) -> bytes:
    """The bytes of a file that holds the records in order."""
    text = "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)
    return gzip.compress(text.encode(), mtime=0)


def unpack(path: str, data: bytes) -> Iterator[dict[str, Any]]:
    """The records of a file; raises CorruptRun naming `path`."""
    try:
        _refuse_empty(data)
        found = gzip.decompress(data).splitlines()
        # One call for many lines: a million calls of the parser cost more than what they parse.
        for start in range(0, len(found), _AT_ONCE):
            yield from _objects(found[start : start + _AT_ONCE])
    except _BROKEN as err:
        raise broken(path, err) from err


def _refuse_empty(data: bytes) -> None:
    if not data:  # which gzip takes for a file of no lines
        raise EOFError("it is empty")


def _objects(found: list[bytes]) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = json.loads(b"[%b]" % b",".join(found))
    for record in records:
        if not isinstance(record, dict):
            raise TypeError(f"found {type(record).__name__}, expected an object")
    return records


def stream(store: Store, path: str) -> Iterator[dict[str, Any]]:
    """The records of a file, read piece by piece; raises FileMissing, CorruptRun."""
    try:
        with store.open(path) as raw, gzip.open(_buffered(raw)) as lines:
            for line in lines:
                yield json.loads(line)
    except _BROKEN as err:
        raise broken(path, err) from err


def _buffered(raw: BinaryIO) -> BinaryIO:
    # gzip asks for a few kilobytes at a time, and every read of a store is a request.
    return io.BufferedReader(cast("io.RawIOBase", raw), _BUFFER)


def parse(path: str, data: bytes) -> dict[str, Any]:
    """A file that holds one JSON object, not gzip'd; raises CorruptRun naming `path`."""
    try:
        value = json.loads(data)
    except ValueError as err:
        raise broken(path, err) from err
    if not isinstance(value, dict):
        raise broken(path, TypeError(f"found {type(value).__name__}, expected an object"))
    return value


def broken(path: str, err: Exception) -> CorruptRun:
    """The error of a ledger file that cannot be read."""
    return CorruptRun(
        f"{path!r} of the run is not what labelmill wrote ({err}); restore it, or use a new "
        "output directory"
    )
